// A container's life: created, started, ended, removed.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"controlplane.sluice.dev/contain"
)

// Labels that the kubelet gives to its containers.
const (
	labelPodUID    = "io.kubernetes.pod.uid"
	labelContainer = "io.kubernetes.container.name"
)

// drainTimeout bounds the wait for the last output of a container that has ended.
const drainTimeout = 2 * time.Second

// container is one container of a pod.
type container struct {
	id      string
	runtime *Runtime
	sandbox *sandbox
	config  *cri.ContainerConfig
	spec    *contain.Spec
	who     user
	logPath string

	// ended is closed when the container has exited and its state says so.
	ended chan struct{}

	mu                               sync.Mutex
	state                            cri.ContainerState
	createdAt, startedAt, finishedAt int64
	exitCode                         int32
	reason, message                  string
	starting                         bool
	process                          *process
	log                              *logFile
	resources                        *cri.ContainerResources
}

// CreateContainer implements CRI.
func (r *Runtime) CreateContainer(
	_ context.Context, sandboxID string, config *cri.ContainerConfig, pod *cri.PodSandboxConfig,
) (string, error) {
	s, err := r.sandbox(sandboxID)
	if err != nil {
		return "", err
	}
	c := &container{id: newID(), runtime: r, sandbox: s, config: config, ended: make(chan struct{}),
		state: cri.ContainerState_CONTAINER_CREATED, createdAt: time.Now().UnixNano(),
		resources: &cri.ContainerResources{Linux: config.GetLinux().GetResources()}}
	if config.LogPath != "" && pod.GetLogDirectory() != "" {
		c.logPath = filepath.Join(pod.LogDirectory, config.LogPath)
	}
	c.spec, c.who, err = r.specOf(c.id, config, pod)
	if err != nil {
		return "", err
	}
	for _, dir := range []string{c.spec.Root, c.spec.Root + ".upper"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	r.mu.Lock()
	r.containers[c.id] = c
	r.mu.Unlock()
	r.announce(sandboxID, c.id, cri.ContainerEventType_CONTAINER_CREATED_EVENT)
	return c.id, nil
}

// StartContainer implements CRI. A command that cannot be started is an error that names it.
func (r *Runtime) StartContainer(_ context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if r.isClosing() {
		return errors.New("the process node is shutting down")
	}
	if err := c.start(); err != nil {
		return err
	}
	r.announce(c.sandbox.id, c.id, cri.ContainerEventType_CONTAINER_STARTED_EVENT)
	return nil
}

func (c *container) start() error {
	c.mu.Lock()
	if c.state != cri.ContainerState_CONTAINER_CREATED || c.starting {
		c.mu.Unlock()
		return fmt.Errorf("container %s was started already", c.id)
	}
	c.starting = true
	c.mu.Unlock()
	p, drained, err := c.launch()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startedAt = time.Now().UnixNano()
	if err != nil {
		c.finishedAt = c.startedAt
		c.state, c.exitCode = cri.ContainerState_CONTAINER_EXITED, failedToStart
		c.reason, c.message = "StartError", err.Error()
		close(c.ended)
		return err
	}
	c.process, c.state = p, cri.ContainerState_CONTAINER_RUNNING
	go c.watch(p, drained)
	if _, err := c.network(); err != nil || c.runtime.isClosing() {
		p.kill() // the pod was stopped meanwhile
	}
	return nil
}

// launch starts the process with its output going to the log. Without the lock: it takes a
// while, and the kubelet asks for the list of containers all the time.
func (c *container) launch() (*process, <-chan struct{}, error) {
	netns, err := c.network()
	if err != nil {
		return nil, nil, err
	}
	if c.log, err = openLog(c.logPath); err != nil {
		return nil, nil, err
	}
	out, err := c.output()
	if err != nil {
		return nil, nil, errors.Join(err, c.log.close())
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, errors.Join(err, out.close(), c.log.close())
	}
	p, err := launch(c.spec, netns, c.who, [3]*os.File{null, out.stdout, out.stderr})
	if closeErr := errors.Join(null.Close(), out.close()); err == nil {
		err = closeErr
	}
	if err != nil {
		<-out.drained
		_ = c.log.close() // nothing was written but what the first process said
	}
	return p, out.drained, err
}

// failedToStart is the exit code that runtimes report for a command that never ran.
const failedToStart = 128

// network is the pod's namespace, or nil for the node's.
func (c *container) network() (*os.File, error) {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	if c.sandbox.pod != nil {
		return c.sandbox.pod.Netns, nil
	}
	if onNodeNetwork(c.sandbox.config) && c.sandbox.state == cri.PodSandboxState_SANDBOX_READY {
		return nil, nil
	}
	return nil, fmt.Errorf("pod sandbox %s has been stopped", c.sandbox.id)
}

// output is a container's ends of the pipes that lead to its log.
type output struct {
	stdout, stderr *os.File
	drained        chan struct{}
}

func (o output) close() error { return errors.Join(o.stdout.Close(), o.stderr.Close()) }

func (c *container) output() (output, error) {
	o := output{drained: make(chan struct{})}
	outRead, stdout, err := os.Pipe()
	if err != nil {
		return o, err
	}
	errRead, stderr, err := os.Pipe()
	if err != nil {
		return o, errors.Join(err, outRead.Close(), stdout.Close())
	}
	o.stdout, o.stderr = stdout, stderr
	var both sync.WaitGroup
	for stream, from := range map[string]*os.File{"stdout": outRead, "stderr": errRead} {
		both.Go(func() {
			defer from.Close()
			if err := c.log.pump(stream, from); err != nil {
				klog.ErrorS(err, "Output of a container was lost", "log", c.logPath)
			}
		})
	}
	go func() { both.Wait(); close(o.drained) }()
	return o, nil
}

// watch waits for the end of the container and its output, and then tells.
func (c *container) watch(p *process, drained <-chan struct{}) {
	<-p.done
	select {
	case <-drained:
	case <-time.After(drainTimeout):
	}
	c.mu.Lock()
	c.state, c.finishedAt = cri.ContainerState_CONTAINER_EXITED, time.Now().UnixNano()
	c.exitCode, c.reason = int32(p.code), "Error"
	if p.code == 0 {
		c.reason = "Completed"
	}
	err := c.log.close()
	c.mu.Unlock()
	if err != nil {
		klog.ErrorS(err, "Closing a log failed", "log", c.logPath)
	}
	r := c.runtime
	// Before anybody learns that it has ended, and starts the next one of that name.
	if r.config.Ended != nil {
		r.config.Ended(c.config.GetLabels()[labelPodUID], c.config.GetLabels()[labelContainer])
	}
	close(c.ended)
	r.announce(c.sandbox.id, c.id, cri.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

// StopContainer implements CRI: the stop signal, then after the grace period the end by force.
func (r *Runtime) StopContainer(_ context.Context, id string, timeout int64) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	c.stop(time.Duration(max(timeout, 0)) * time.Second)
	return nil
}

// stop returns when the container has ended. One that never started has nothing to end.
func (c *container) stop(grace time.Duration) {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p == nil {
		return
	}
	if grace > 0 && p.signal(0, stopSignal(c.config)) == nil {
		select {
		case <-c.ended:
			return
		case <-time.After(grace):
		}
	}
	p.kill()
	<-c.ended
}

func stopSignal(config *cri.ContainerConfig) syscall.Signal {
	if config.StopSignal != cri.Signal_RUNTIME_DEFAULT {
		if s := unix.SignalNum(config.StopSignal.String()); s != 0 {
			return s
		}
	}
	return syscall.SIGTERM
}

// RemoveContainer implements CRI. It ends a container that still runs.
func (r *Runtime) RemoveContainer(_ context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return nil // removing what is gone is no error
	}
	c.stop(0)
	r.mu.Lock()
	delete(r.containers, id)
	r.mu.Unlock()
	err = os.RemoveAll(r.folder(id))
	r.announce(c.sandbox.id, c.id, cri.ContainerEventType_CONTAINER_DELETED_EVENT)
	return err
}

// ReopenContainerLog implements CRI, for the kubelet's log rotation.
func (r *Runtime) ReopenContainerLog(_ context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return fmt.Errorf("container %s is not running", id)
	}
	return c.log.reopen()
}

func (r *Runtime) container(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if !ok {
		return nil, notFound("container", id)
	}
	return c, nil
}

// containersOf lists a pod's containers, newest first; of all pods when id is empty.
func (r *Runtime) containersOf(id string) []*container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*container
	for _, c := range r.containers {
		if id == "" || c.sandbox.id == id {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *container) int { return int(b.createdAt - a.createdAt) })
	return found
}
