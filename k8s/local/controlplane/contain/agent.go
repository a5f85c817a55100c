// The first process of a running container: it starts commands, reaps them and answers the node.

package contain

import (
	"errors"
	"fmt"
	"os"
	slash "path"
	"strings"
	"sync"
	"syscall"
)

// agent is the first process of a running container.
type agent struct {
	spec *Spec
	conn *Conn

	// mu is held from before a process starts until it is known, so that the reaper does not
	// see it end first.
	mu       sync.Mutex
	children map[int]uint64 // process number -> request
	pids     map[uint64]int // request -> process number
}

// start runs one command with the given descriptors as its stdin, stdout and stderr.
func (a *agent) start(request Request, fds []int) error {
	if len(request.Argv) == 0 {
		return errors.New("the container has no command; the process node has no images that " +
			"could name one, so the pod must")
	}
	path, err := lookPath(request.Argv[0], a.spec.Env, a.spec.Dir)
	if err != nil {
		return err
	}
	dir := a.spec.Dir
	if dir == "" {
		dir = "/"
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("workingDir %q is not a folder in the container", dir)
	}
	attr := &syscall.ProcAttr{Dir: dir, Env: a.spec.Env, Sys: &syscall.SysProcAttr{Setsid: true}}
	if request.TTY {
		fds = []int{fds[0], fds[0], fds[0]}
		attr.Sys.Setctty = true
	}
	for _, fd := range fds {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	pid, err := syscall.ForkExec(path, request.Argv, attr)
	if err != nil {
		return fmt.Errorf("exec %q: %w", path, err)
	}
	a.children[pid] = request.ID
	a.pids[request.ID] = pid
	return a.conn.Send(Reply{ID: request.ID, Event: EventStarted})
}

// serve answers the node until it goes away; then the container ends, and the kernel ends every
// process in it.
func (a *agent) serve() {
	for {
		var request Request
		fds, err := a.conn.Receive(&request)
		if err != nil {
			os.Exit(128 + int(syscall.SIGKILL))
		}
		switch request.Op {
		case OpSignal:
			a.signal(request.ID, syscall.Signal(request.Signal))
		case OpExec:
			if err := a.start(request, fds); err != nil {
				a.tell(Reply{ID: request.ID, Event: EventFailed, Error: err.Error(),
					Code: codeOf(err)})
			}
		}
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
}

// tell sends a reply. A node that does not listen any more is noticed by serve.
func (a *agent) tell(reply Reply) { _ = a.conn.Send(reply) }

// signal reaches the main process alone, as in other runtimes, but the whole group of an exec:
// nobody else would end what it has started.
func (a *agent) signal(id uint64, s syscall.Signal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pid, ok := a.pids[id]
	if !ok {
		return
	}
	if id != 0 {
		pid = -pid
	}
	_ = syscall.Kill(pid, s) // it may have ended by itself
}

// reap waits for every process of the container, orphans included, until the main one ends. It
// returns the container's exit code.
func (a *agent) reap() int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return failedCode
		}
		a.mu.Lock()
		id, known := a.children[pid]
		if known {
			delete(a.children, pid)
			delete(a.pids, id)
		}
		a.mu.Unlock()
		if !known {
			continue
		}
		if id == 0 {
			return exitCode(status)
		}
		a.tell(Reply{ID: id, Event: EventExited, Code: exitCode(status)})
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// codeOf is the exit status that shells give to a command that cannot be run.
func codeOf(err error) int {
	if errors.Is(err, os.ErrPermission) {
		return 126
	}
	return 127
}

// lookPath finds an executable as execvp would, with the container's own PATH.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		at := name
		if !slash.IsAbs(at) {
			at = slash.Join("/", dir, at)
		}
		if err := executable(at); err != nil {
			return "", fmt.Errorf("exec %q: %w", name, err)
		}
		return at, nil
	}
	path := variable(env, "PATH")
	var denied error
	for _, folder := range strings.Split(path, ":") {
		at := slash.Join("/", folder, name)
		err := executable(at)
		if err == nil {
			return at, nil
		}
		if errors.Is(err, os.ErrPermission) {
			denied = fmt.Errorf("exec %q: %w", at, err)
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fmt.Errorf("exec %q: executable file not found in PATH (%s): %w",
		name, path, os.ErrNotExist)
}

// executable says why a file cannot be run. One in a folder that may not be searched counts as
// absent: PATH often names such folders.
func executable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrPermission) {
		return syscall.ENOENT
	}
	if err != nil {
		return errors.Unwrap(err)
	}
	if info.IsDir() {
		return syscall.EISDIR
	}
	if info.Mode()&0o111 == 0 {
		return os.ErrPermission
	}
	return nil
}

// variable is the value that a process would see: the last one of that name.
func variable(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if key, v, _ := strings.Cut(entry, "="); key == name {
			value = v
		}
	}
	return value
}
