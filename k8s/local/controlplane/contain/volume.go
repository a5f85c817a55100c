// Volumes, also at places that the host does not have.

package contain

import (
	"fmt"
	"os"
	slash "path"
	"slices"
	"strings"
	"syscall"
)

// mountVolumes binds every volume, outer ones first, so that one may lie inside another.
func (r *root) mountVolumes() error {
	mounts := slices.Clone(r.spec.Mounts)
	slices.SortStableFunc(mounts, func(a, b Mount) int {
		return len(split(a.Target)) - len(split(b.Target))
	})
	for _, mount := range mounts {
		if err := r.mountVolume(mount); err != nil {
			return fmt.Errorf("mount %s: %w", mount.Target, err)
		}
	}
	return nil
}

func (r *root) mountVolume(mount Mount) error {
	info, err := os.Stat(mount.Source)
	if err != nil {
		return err
	}
	target, existing, err := resolve(r.spec.Root, mount.Target)
	if err != nil {
		return err
	}
	if target != existing {
		if err := r.makeRoom(existing, target, info.IsDir()); err != nil {
			return err
		}
	}
	if err := bind(mount.Source, target); err != nil {
		return err
	}
	// Before it turns read-only: a volume at /tmp must not hide a checkout that lies there.
	inside := strings.TrimPrefix(target, r.spec.Root)
	if info.IsDir() && inside != "" {
		if err := r.keep(inside); err != nil {
			return err
		}
	}
	if mount.ReadOnly {
		return readOnly(target, true)
	}
	return nil
}

// makeRoom creates the target of a mount below existing. Where that is the host's, and so
// read-only, the container gets a private writable layer over it first.
func (r *root) makeRoom(existing, target string, folder bool) error {
	if makeTarget(target, folder) == nil {
		return nil
	}
	if err := r.overlay(existing); err != nil {
		// An old kernel, or a file system that overlayfs does not take.
		if mirrorErr := r.mirror(existing); mirrorErr != nil {
			return fmt.Errorf("%w; and without overlayfs: %w", err, mirrorErr)
		}
	}
	if err := r.owns(existing); err != nil {
		return err
	}
	return makeTarget(target, folder)
}

// overlay covers a folder with a writable layer in memory. An overlay shows only the file system
// of the folder itself, so what is mounted below is bound again.
func (r *root) overlay(folder string) error {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	below := map[string]int{}
	for _, point := range mountsBelow(string(mountinfo), folder) {
		fd, err := syscall.Open(point, openPath|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue // covered by another mount, and so out of sight already
		}
		defer syscall.Close(fd)
		below[point] = fd
	}
	r.overlays++
	layer := slash.Join(r.upper, fmt.Sprintf("layer-%d", r.overlays))
	upper, work := slash.Join(layer, "upper"), slash.Join(layer, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := mountOverlay(folder, upper, work); err != nil {
		return err
	}
	for point, fd := range below {
		if err := bind(descriptorPath(fd), point); err != nil {
			return err
		}
	}
	return nil
}

// mirror covers a folder with one in memory that shows the same entries.
func (r *root) mirror(folder string) error {
	fd, err := syscall.Open(folder, openPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	entries, err := os.ReadDir(descriptorPath(fd))
	if err != nil {
		return err
	}
	if err := mountTmpfs(folder, "mode=0755"); err != nil {
		return err
	}
	for _, entry := range entries {
		source := slash.Join(descriptorPath(fd), entry.Name())
		if err := r.showEntry(source, slash.Join(folder, entry.Name()), entry.Type()); err != nil {
			return err
		}
	}
	return nil
}

// descriptorPath names what is open, even when a mount covers it.
func descriptorPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
