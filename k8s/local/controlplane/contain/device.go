// A container's own /dev.

package contain

import (
	"os"
	slash "path"
	"strings"
	"syscall"
)

// usualDevices are those that every container has.
var usualDevices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// mountDevices makes a /dev of the container's own: the usual devices, those that it was given,
// its own terminals and shared memory.
func (r *root) mountDevices() error {
	dev := r.at("dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		return err
	}
	if err := mountTmpfs(dev, "mode=0755,size=64k"); err != nil {
		return err
	}
	paths := append([]string{}, r.spec.Devices...)
	for _, name := range usualDevices {
		paths = append(paths, "/dev/"+name)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil || !strings.HasPrefix(path, "/dev/") {
			continue
		}
		if err := bindNew(path, r.at(path)); err != nil {
			return err
		}
	}
	if err := r.mountSharedMemory(dev); err != nil {
		return err
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, slash.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) mountSharedMemory(dev string) error {
	for _, name := range []string{"shm", "pts"} {
		if err := os.Mkdir(slash.Join(dev, name), 0o755); err != nil {
			return err
		}
	}
	if err := mountTmpfs(slash.Join(dev, "shm"), "mode=1777,size=64m"); err != nil {
		return err
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NOEXEC)
	options := "newinstance,ptmxmode=0666,mode=0620"
	if err := syscall.Mount("devpts", slash.Join(dev, "pts"), "devpts", flags, options); err != nil {
		return nil // a container without terminals of its own is still a container
	}
	return os.Symlink("pts/ptmx", slash.Join(dev, "ptmx"))
}
