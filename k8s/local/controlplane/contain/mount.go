// The system calls of mounting, each with an error that says what was tried.

package contain

import (
	"errors"
	"fmt"
	"os"
	slash "path"
	"strings"
	"syscall"
	"unsafe"
)

// Numbers of mount_setattr(2), Linux 5.12 or newer, and of open(2).
const (
	sysMountSetattr  = 442
	atFDCWD          = -100
	atRecursive      = 0x8000
	atEmptyPath      = 0x1000
	openPath         = 0x200000 // O_PATH
	attrReadOnly     = 0x1
	sizeOfAttributes = 32
)

// bind shows source at target, with everything that is mounted below it. The target must exist.
func bind(source, target string) error {
	if err := syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	return nil
}

// bindNew makes the target, of the kind that the source is, and binds it.
func bindNew(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if err := makeTarget(target, info.IsDir()); err != nil {
		return err
	}
	return bind(source, target)
}

func makeTarget(target string, folder bool) error {
	if _, err := os.Lstat(target); err == nil {
		return nil
	}
	if folder {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(slash.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// readOnly makes a mount read-only, and with recursive all that is mounted below it. Only this
// view of it: what others see does not change.
func readOnly(target string, recursive bool) error {
	flags := 0
	if recursive {
		flags = atRecursive
	}
	return setReadOnly(atFDCWD, target, flags)
}

// setReadOnly works on a path, or with atEmptyPath on an open mount.
func setReadOnly(fd int, target string, flags int) error {
	attributes := struct{ set, clear, propagation, userns uint64 }{set: attrReadOnly}
	path, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(sysMountSetattr, uintptr(fd), uintptr(unsafe.Pointer(path)),
		uintptr(flags), uintptr(unsafe.Pointer(&attributes)), sizeOfAttributes, 0)
	if errno == syscall.ENOSYS {
		return errors.New("this kernel has no mount_setattr; Linux 5.12 or newer is needed")
	}
	if errno != 0 {
		return fmt.Errorf("make %s read-only: %w", target, errno)
	}
	return nil
}

// mountTmpfs puts an empty file system in memory at target, which must exist.
func mountTmpfs(target, options string) error {
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV)
	if err := syscall.Mount("tmpfs", target, "tmpfs", flags, options); err != nil {
		return fmt.Errorf("tmpfs at %s: %w", target, err)
	}
	return nil
}

// mountOverlay makes folder writable for this container alone: what it writes goes to upper.
func mountOverlay(folder, upper, work string) error {
	escape := strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr",
		escape(folder), escape(upper), escape(work))
	if err := syscall.Mount("overlay", folder, "overlay", 0, options); err != nil {
		return fmt.Errorf("overlay over %s: %w", folder, err)
	}
	return nil
}

// mountsBelow lists the mount points strictly below folder, outermost first, without those that
// lie below another of the list. mountinfo is the text of /proc/self/mountinfo.
func mountsBelow(mountinfo, folder string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var found []string
	for _, line := range strings.Split(mountinfo, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape.Replace(fields[4])
		if point == folder || !within(point, folder) {
			continue
		}
		nested := false
		for _, other := range found {
			nested = nested || within(point, other)
		}
		if !nested {
			found = append(found, point)
		}
	}
	return found
}
