// Capabilities: which ones a container keeps, and how it gives up the others.

package contain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// capabilityNames in the order of their numbers in linux/capability.h.
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
	"IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
	"LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// usualCapabilities are those that container runtimes leave by default.
var usualCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP",
	"SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}

// AllCapabilities are the numbers of all that this package knows.
func AllCapabilities() []int {
	numbers := make([]int, len(capabilityNames))
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// Capabilities turns a security context into the set that stays: the usual ones, plus add,
// minus drop; "ALL" stands for every one. As in Kubernetes, add wins over "drop ALL".
func Capabilities(add, drop []string, privileged bool) ([]int, error) {
	if privileged {
		return AllCapabilities(), nil
	}
	added, err := numbersOf(add)
	if err != nil {
		return nil, err
	}
	dropped, err := numbersOf(drop)
	if err != nil {
		return nil, err
	}
	kept, err := numbersOf(usualCapabilities)
	if err != nil {
		return nil, err
	}
	if slices.Contains(upper(add), "ALL") {
		kept = added
	}
	kept = slices.DeleteFunc(kept, func(n int) bool { return slices.Contains(dropped, n) })
	if !slices.Contains(upper(drop), "ALL") {
		added = slices.DeleteFunc(added, func(n int) bool { return slices.Contains(dropped, n) })
	}
	kept = append(kept, added...)
	slices.Sort(kept)
	return slices.Compact(kept), nil
}

func upper(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	}
	return out
}

func numbersOf(names []string) ([]int, error) {
	numbers := []int{}
	for _, name := range upper(names) {
		if name == "ALL" {
			return AllCapabilities(), nil
		}
		n := slices.Index(capabilityNames, name)
		if n < 0 {
			return nil, fmt.Errorf("unknown capability %q", name)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// Numbers from linux/prctl.h and linux/capability.h.
const (
	prCapBoundingDrop = 24
	prNoNewPrivileges = 38
	capsetVersion3    = 0x20080522
)

// dropPrivileges bounds what the commands of this container can get, and leaves the first
// process itself with nothing. It works on every thread: which of them will start a command is
// not known.
func dropPrivileges(keep []int, noNewPrivileges bool) error {
	prctl := func(option, arg uintptr) error {
		_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, option, arg, 0, 0, 0, 0)
		if errno == syscall.ENOTSUP {
			return errors.New("this program was built with cgo; build and test with CGO_ENABLED=0")
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
	for n := 0; n < 64; n++ {
		if slices.Contains(keep, n) {
			continue
		}
		// EINVAL: the kernel has no capability of that number, nor of a higher one.
		if err := prctl(prCapBoundingDrop, uintptr(n)); err == syscall.EINVAL {
			break
		} else if err != nil {
			return fmt.Errorf("drop capability %d: %w", n, err)
		}
	}
	// Without inheritable ones: a program of root would get them back past the bound.
	header := [2]uint32{capsetVersion3, 0}
	var none [6]uint32
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	if noNewPrivileges {
		if err := prctl(prNoNewPrivileges, 1); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
	}
	return nil
}
