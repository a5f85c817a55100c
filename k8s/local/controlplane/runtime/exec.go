// Commands that run in a container beside its own.

package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	utilexec "k8s.io/utils/exec"
)

// ExecSync implements CRI; the kubelet uses it for exec probes and hooks. A command that exits
// with another code than 0, or cannot be started, is a CodeExitError.
func (r *Runtime) ExecSync(
	ctx context.Context, id string, command []string, timeout time.Duration,
) ([]byte, []byte, error) {
	p, err := r.running(id)
	if err != nil {
		return nil, nil, err
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var stdout, stderr bytes.Buffer
	code, err := runCommand(ctx, p, command, nil, &stdout, &stderr)
	var start *startError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = status.Errorf(codes.DeadlineExceeded, "%q timed out after %s",
			strings.Join(command, " "), timeout)
	case errors.As(err, &start):
		err = utilexec.CodeExitError{Err: err, Code: start.code}
	case err == nil && code != 0:
		err = utilexec.CodeExitError{Code: code, Err: fmt.Errorf("command %q exited with %d: %s",
			strings.Join(command, " "), code, stderr.String())}
	}
	return stdout.Bytes(), stderr.Bytes(), err
}

// running is the process of a container, or why there is none.
func (r *Runtime) running(id string) (*process, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s is not running", id)
	}
	return c.process, nil
}

// runCommand runs one more command in the container and copies its input and output. in may be
// nil; out and errOut too, when nobody wants them.
func runCommand(
	ctx context.Context, p *process, argv []string, in io.Reader, out, errOut io.Writer,
) (int, error) {
	stdin, err := input(in)
	if err != nil {
		return 0, err
	}
	var copies sync.WaitGroup
	stdout, outRead, err := sink(out, &copies)
	if err != nil {
		return 0, errors.Join(err, stdin.Close())
	}
	stderr, errRead, err := sink(errOut, &copies)
	if err != nil {
		return 0, errors.Join(err, stdin.Close(), stdout.Close())
	}
	code, err := p.exec(ctx, argv, false, stdin, stdout, stderr)
	drain(&copies, outRead, errRead)
	return code, err
}

// input is the read end of a pipe that is fed from in, or /dev/null.
func input(in io.Reader) (*os.File, error) {
	if in == nil {
		return os.Open(os.DevNull)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		// It ends when the client stops sending or the command stops reading; neither is a fault.
		_, _ = io.Copy(write, in)
		_ = write.Close()
	}()
	return read, nil
}

// sink is the write end of a pipe that is copied to out, and its read end.
func sink(out io.Writer, copies *sync.WaitGroup) (write, read *os.File, err error) {
	if out == nil {
		out = io.Discard
	}
	read, write, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	copies.Go(func() {
		// A client that is gone must not block the command: read on.
		if _, err := io.Copy(out, read); err != nil {
			_, _ = io.Copy(io.Discard, read)
		}
	})
	return write, read, nil
}

// drain waits for the rest of the output. What a command left running in the background may hold
// the pipes open; it is not waited for.
func drain(copies *sync.WaitGroup, readers ...*os.File) {
	done := make(chan struct{})
	go func() { copies.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTimeout):
	}
	for _, reader := range readers {
		_ = reader.Close()
	}
}
