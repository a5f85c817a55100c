// CRI's image service, for a node without images.

package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	internalapi "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// InvalidRegistry is the beginning of references that cannot be pulled. Tests use it to see
// ErrImagePull and ImagePullBackOff as a real cluster shows them.
const InvalidRegistry = "process-node.invalid/"

// Images implements the whole of CRI's ImageManagerService for a node that has no images: every
// reference counts as present, and nothing is ever fetched.
type Images struct {
	dir string

	mu   sync.Mutex
	seen map[string]bool
}

var _ internalapi.ImageManagerService = (*Images)(nil)

// NewImages reports the file system of dir as the place where images would lie.
func NewImages(dir string) *Images { return &Images{dir: dir, seen: map[string]bool{}} }

// image describes a reference. The user is one other than root, so that runAsNonRoot is met.
func image(reference string) *cri.Image {
	item := &cri.Image{Id: reference, Size: 1, Uid: &cri.Int64Value{Value: imageUser},
		Spec: &cri.ImageSpec{Image: reference}}
	if strings.Contains(reference, "@") {
		item.RepoDigests = []string{reference}
	} else {
		item.RepoTags = []string{reference}
	}
	return item
}

// ImageStatus implements CRI.
func (i *Images) ImageStatus(
	_ context.Context, spec *cri.ImageSpec, _ bool,
) (*cri.ImageStatusResponse, error) {
	if strings.HasPrefix(spec.GetImage(), InvalidRegistry) {
		return &cri.ImageStatusResponse{}, nil // CRI's way to say that it is absent
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen[spec.GetImage()] = true
	return &cri.ImageStatusResponse{Image: image(spec.GetImage())}, nil
}

// PullImage implements CRI without fetching anything.
func (i *Images) PullImage(
	_ context.Context, spec *cri.ImageSpec, _ *cri.AuthConfig, _ *cri.PodSandboxConfig,
) (string, error) {
	if strings.HasPrefix(spec.GetImage(), InvalidRegistry) {
		return "", fmt.Errorf("image %q cannot be pulled: the process node keeps %s for images "+
			"that do not exist", spec.GetImage(), InvalidRegistry)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen[spec.GetImage()] = true
	return spec.GetImage(), nil
}

// ListImages implements CRI: the references that pods have named.
func (i *Images) ListImages(_ context.Context, filter *cri.ImageFilter) ([]*cri.Image, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	found := []*cri.Image{}
	wanted := filter.GetImage().GetImage()
	for reference := range i.seen {
		if wanted == "" || wanted == reference {
			found = append(found, image(reference))
		}
	}
	slices.SortFunc(found, func(a, b *cri.Image) int { return strings.Compare(a.Id, b.Id) })
	return found, nil
}

// RemoveImage implements CRI.
func (i *Images) RemoveImage(_ context.Context, spec *cri.ImageSpec) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.seen, spec.GetImage())
	return nil
}

// ImageFsInfo implements CRI: the file system is real, what images use of it is nothing.
func (i *Images) ImageFsInfo(context.Context) (*cri.ImageFsInfoResponse, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(i.dir, &fs); err != nil {
		return nil, fmt.Errorf("file system of %s: %w", i.dir, err)
	}
	usage := []*cri.FilesystemUsage{{
		Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: i.dir},
		UsedBytes: &cri.UInt64Value{}, InodesUsed: &cri.UInt64Value{},
	}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}

// Close implements CRI. There is no connection to close.
func (i *Images) Close(context.Context) error { return nil }
