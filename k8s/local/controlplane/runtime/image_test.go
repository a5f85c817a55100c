package runtime

import (
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestEveryImageExistsAndIsNotRoots(t *testing.T) {
	images := NewImages(t.TempDir())
	got, err := images.ImageStatus(t.Context(), &cri.ImageSpec{Image: "a/b:missing"}, false)
	if err != nil || got.Image.GetUid().GetValue() == 0 {
		t.Fatalf("%v %v", got, err)
	}
	listed, err := images.ListImages(t.Context(), nil)
	if err != nil || len(listed) != 1 || listed[0].Id != "a/b:missing" {
		t.Errorf("%v %v", listed, err)
	}
	if err := images.RemoveImage(t.Context(), &cri.ImageSpec{Image: "a/b:missing"}); err != nil {
		t.Error(err)
	}
	if listed, _ := images.ListImages(t.Context(), nil); len(listed) != 0 {
		t.Errorf("%v", listed)
	}
	if info, err := images.ImageFsInfo(t.Context()); err != nil || len(info.ImageFilesystems) != 1 {
		t.Errorf("%v %v", info, err)
	}
}

func TestTheInvalidRegistryCannotBePulled(t *testing.T) {
	images := NewImages(t.TempDir())
	spec := &cri.ImageSpec{Image: InvalidRegistry + "x:1"}
	if got, err := images.ImageStatus(t.Context(), spec, false); err != nil || got.Image != nil {
		t.Errorf("%v %v", got, err)
	}
	_, err := images.PullImage(t.Context(), spec, nil, nil)
	if err == nil || !strings.Contains(err.Error(), spec.Image) {
		t.Errorf("%v", err)
	}
}
