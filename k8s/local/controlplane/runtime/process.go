// A container's processes, seen from the node.

package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"controlplane.sluice.dev/contain"
	"controlplane.sluice.dev/network"
)

// startTimeout is for building the file system and starting the command, nothing else.
const startTimeout = 30 * time.Second

// errEnded is what a request gets when its container ends first.
var errEnded = errors.New("the container has ended")

// process is the node's side of a running container.
type process struct {
	cmd  *exec.Cmd
	conn *contain.Conn
	// done is closed when the container is gone; code is valid then.
	done chan struct{}
	code int

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan contain.Reply // nil when the container has ended
}

// user is what a container's processes see themselves as. On the machine they are the user who
// runs the cluster.
type user struct{ uid, gid int }

// launch starts a container in the given network namespace (nil: the node's). It returns when
// the command runs, or with the reason why it does not.
func launch(spec *contain.Spec, netns *os.File, who user, stdio [3]*os.File) (*process, error) {
	file, err := specFile(spec)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	conn, inside, err := contain.Pair()
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	p := &process{conn: conn, done: make(chan struct{}), next: 1,
		waiting: map[uint64]chan contain.Reply{0: make(chan contain.Reply, 2)}}
	p.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"sluice-k8s", contain.Command},
		Env:   []string{"GOMAXPROCS=2"},
		Stdin: stdio[0], Stdout: stdio[1], Stderr: stdio[2],
		ExtraFiles: []*os.File{inside, file}, SysProcAttr: attributes(who),
	}
	begin := p.cmd.Start
	if netns != nil {
		begin = func() error { return network.In(netns, p.cmd.Start) }
	}
	if err := begin(); err != nil {
		return nil, errors.Join(explainStart(err), conn.Close())
	}
	started := p.waiting[0]
	go p.wait()
	go p.listen()
	return p, p.awaitStart(started)
}

// attributes gives the container its namespaces. In its own user namespace it has every
// capability until it has built its file system, and none over the node's namespaces.
func attributes(who user) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: who.uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: who.gid, HostID: os.Getgid(), Size: 1}},
		AmbientCaps: ambient(),
		Setsid:      true,
	}
}

// ambient lists the capabilities that this kernel knows. Without them a user other than 0 would
// lose all at the first exec.
func ambient() []uintptr {
	last := 0
	if data, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		last, _ = strconv.Atoi(strings.TrimSpace(string(data)))
	}
	caps := make([]uintptr, last+1)
	for i := range caps {
		caps[i] = uintptr(i)
	}
	return caps
}

// specFile keeps the specification in memory: it holds what environment variables hold.
func specFile(spec *contain.Spec) (*os.File, error) {
	fd, err := unix.MemfdCreate("spec", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	file := os.NewFile(uintptr(fd), "spec")
	if err := json.NewEncoder(file).Encode(spec); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func explainStart(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("start a process in namespaces of its own: %w (are user namespaces "+
			"allowed? see /proc/sys/user/max_user_namespaces)", err)
	}
	return fmt.Errorf("start a process in namespaces of its own: %w", err)
}

func (p *process) awaitStart(started <-chan contain.Reply) error {
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case reply, ok := <-started:
		if ok && reply.Event == contain.EventStarted {
			return nil
		}
		p.kill()
		<-p.done
		if !ok {
			return errors.New("the container's first process ended before the command started")
		}
		return errors.New(reply.Error)
	case <-timer.C:
		p.kill()
		<-p.done
		return fmt.Errorf("the container was not ready to start its command after %s", startTimeout)
	}
}

func (p *process) wait() {
	_ = p.cmd.Wait() // the state says it all
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	p.code = status.ExitStatus()
	if status.Signaled() {
		p.code = 128 + int(status.Signal())
	}
	close(p.done)
}

// listen hands replies to those who wait, until the container is gone.
func (p *process) listen() {
	defer p.conn.Close()
	for {
		var reply contain.Reply
		if _, err := p.conn.Receive(&reply); err != nil {
			break
		}
		p.mu.Lock()
		to := p.waiting[reply.ID]
		p.mu.Unlock()
		if to != nil {
			to <- reply // room for the two that any request gets
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, to := range p.waiting {
		close(to)
	}
	p.waiting = nil
}

// exec runs one more command in the container. It returns its exit code. When the context ends
// first, the command and what it started are killed.
func (p *process) exec(ctx context.Context, argv []string, tty bool, files ...*os.File) (int, error) {
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return 0, errEnded
	}
	id := p.next
	p.next++
	replies := make(chan contain.Reply, 2)
	p.waiting[id] = replies
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, id)
	}()
	var fds []int
	for _, file := range files {
		fds = append(fds, int(file.Fd()))
	}
	err := p.conn.Send(contain.Request{ID: id, Op: contain.OpExec, Argv: argv, TTY: tty}, fds...)
	for _, file := range files {
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return 0, err
	}
	return p.awaitExit(ctx, id, replies)
}

func (p *process) awaitExit(
	ctx context.Context, id uint64, replies <-chan contain.Reply,
) (int, error) {
	cancelled := ctx.Done()
	for {
		select {
		case reply, ok := <-replies:
			switch {
			case !ok:
				return 0, errEnded
			case reply.Event == contain.EventFailed:
				return reply.Code, &startError{reply.Error, reply.Code}
			case reply.Event == contain.EventExited && ctx.Err() != nil:
				return reply.Code, ctx.Err()
			case reply.Event == contain.EventExited:
				return reply.Code, nil
			}
		case <-cancelled:
			cancelled = nil
			if err := p.signal(id, syscall.SIGKILL); err != nil {
				return 0, err
			}
		}
	}
}

// startError says why a command could not be started, with the code that a shell would give.
type startError struct {
	text string
	code int
}

func (e *startError) Error() string { return e.text }

func (p *process) signal(id uint64, s syscall.Signal) error {
	return p.conn.Send(contain.Request{ID: id, Op: contain.OpSignal, Signal: int(s)})
}

// kill ends the container at once; the kernel ends all its processes with the first.
func (p *process) kill() { _ = p.cmd.Process.Kill() }
