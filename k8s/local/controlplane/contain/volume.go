package contain

import (
	"fmt"
	"os"
	slash "path"
	"slices"
	"strings"
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
	r.own = append(r.own, existing)
	return makeTarget(target, folder)
}

// overlay covers a host folder with a writable layer in memory. An overlay shows only the file
// system of the folder itself, so what is mounted below is bound again.
func (r *root) overlay(folder string) error {
	host := "/" + strings.TrimPrefix(strings.TrimPrefix(folder, r.spec.Root), "/")
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
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
	for _, point := range mountsBelow(string(mountinfo), host) {
		target := r.at(point)
		if _, err := os.Stat(target); err != nil {
			continue
		}
		if err := bind(point, target); err != nil {
			return err
		}
		if err := readOnly(target, true); err != nil {
			return err
		}
	}
	return nil
}

// mirror replaces a host folder by one in memory that shows the same entries.
func (r *root) mirror(folder string) error {
	host := strings.TrimPrefix(folder, r.spec.Root)
	entries, err := os.ReadDir(host)
	if err != nil {
		return err
	}
	if err := mountTmpfs(folder, "mode=0755"); err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		source, target := slash.Join(host, name), slash.Join(folder, name)
		if err := r.showEntry(source, target, entry.Type()); err != nil {
			return err
		}
	}
	return nil
}
