// The file system of a container, built step by step.

package contain

import (
	"fmt"
	"os"
	slash "path"
	"slices"
	"strings"
	"syscall"
)

// privateFolders are top-level folders that a container has for itself.
var privateFolders = []string{"dev", "proc", "run", "tmp"}

// root is the file system of one container while it is built.
type root struct {
	spec *Spec
	// upper is a folder in memory, out of the container's sight, for what overlays write.
	upper string
	// own are the mounts that the container may write to unless its root is read-only, as open
	// descriptors: a volume may cover one of them later.
	own      []int
	overlays int
}

// buildRoot makes the container's file system and moves into it. The host's folders are there,
// read-only, as they would be in an image; /dev, /proc, /run and /tmp are the container's own;
// volumes lie where the specification puts them. Nothing of the host is ever changed.
func buildRoot(spec *Spec) error {
	r := &root{spec: spec, upper: spec.Root + ".upper"}
	steps := []struct {
		name string
		do   func() error
	}{
		{"a file system of its own", r.begin},
		{"the host's folders", r.showHost},
		{"/proc", r.mountProc},
		{"/dev", r.mountDevices},
		{"the interpreter's folders", func() error { return r.keep("/") }},
		{"small files", r.writeFiles},
		{"volumes", r.mountVolumes},
		{"hiding the node's folder", r.hide},
		{"a read-only root", r.seal},
		{"the new root", r.enter},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("preparing %s: %w", step.name, err)
		}
	}
	return nil
}

func (r *root) at(path string) string { return slash.Join(r.spec.Root, path) }

func (r *root) begin() error {
	// What is mounted here must not show up on the node.
	if err := syscall.Mount("", "/", "", syscall.MS_SLAVE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, folder := range []string{r.spec.Root, r.upper} {
		if err := mountTmpfs(folder, "mode=0755"); err != nil {
			return err
		}
	}
	if err := r.owns(r.spec.Root); err != nil {
		return err
	}
	for folder, mode := range map[string]string{"tmp": "mode=1777", "run": "mode=0755"} {
		if err := os.Mkdir(r.at(folder), 0o755); err != nil {
			return err
		}
		if err := mountTmpfs(r.at(folder), mode); err != nil {
			return err
		}
		if err := r.owns(r.at(folder)); err != nil {
			return err
		}
	}
	return nil
}

// owns notes that the mount at path is the container's own.
func (r *root) owns(path string) error {
	fd, err := syscall.Open(path, openPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	r.own = append(r.own, fd)
	return nil
}

func (r *root) showHost() error {
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if slices.Contains(privateFolders, name) {
			continue
		}
		if err := r.showEntry("/"+name, r.at(name), entry.Type()); err != nil {
			return err
		}
	}
	return nil
}

// showEntry makes one folder, file or link of the host appear, read-only.
func (r *root) showEntry(source, target string, kind os.FileMode) error {
	switch {
	case kind&os.ModeSymlink != 0:
		to, err := os.Readlink(source)
		if err != nil {
			return err
		}
		return os.Symlink(to, target)
	case kind.IsDir() || kind.IsRegular():
		if err := bindNew(source, target); err != nil {
			return err
		}
		return readOnly(target, true)
	}
	return nil // sockets and devices at the top of a file system are of no use here
}

// mountProc shows the container's own processes. Where the kernel refuses a new /proc (a host
// that is a container itself may hide parts of its own), the node's is shown.
func (r *root) mountProc() error {
	if err := os.Mkdir(r.at("proc"), 0o555); err != nil {
		return err
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
	if syscall.Mount("proc", r.at("proc"), "proc", flags, "") == nil {
		return nil
	}
	return bind("/proc", r.at("proc"))
}

// keep makes the kept host paths below folder visible again where something covers them.
func (r *root) keep(folder string) error {
	for _, path := range r.spec.Keep {
		if !within(path, folder) {
			continue
		}
		if _, err := os.Lstat(r.at(path)); err == nil {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			continue // not on this machine
		}
		if err := bindNew(path, r.at(path)); err != nil {
			return err
		}
		if err := readOnly(r.at(path), true); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles turns the small files into mounts, like any other.
func (r *root) writeFiles() error {
	for target, text := range r.spec.Files {
		source := slash.Join(r.upper, "file-"+strings.ReplaceAll(target, "/", "-"))
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			return err
		}
		r.spec.Mounts = append(r.spec.Mounts, Mount{Source: source, Target: target, ReadOnly: true})
	}
	return nil
}

// hide covers the node's own folder: other pods' volumes and keys lie there.
func (r *root) hide() error {
	for _, path := range r.spec.Hide {
		full, existing, err := resolve(r.spec.Root, path)
		if err != nil || full != existing {
			continue // not visible
		}
		if err := mountTmpfs(full, "mode=0555,size=4k"); err != nil {
			return err
		}
		if err := readOnly(full, true); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) seal() error {
	if !r.spec.ReadOnlyRoot {
		return nil
	}
	for _, fd := range r.own {
		if err := setReadOnly(fd, "", atEmptyPath); err != nil {
			return err
		}
	}
	return nil
}

// enter makes the new root "/" and lets go of the old one.
func (r *root) enter() error {
	if err := os.Chdir(r.spec.Root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return os.Chdir("/")
}
