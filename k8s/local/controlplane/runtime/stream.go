// Streams: exec, port-forward, and why not attach.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/klog/v2"
	utilexec "k8s.io/utils/exec"

	"controlplane.sluice.dev/network"
)

// startStreaming opens the server for exec, attach and port-forward. The kubelet redirects to it,
// or rather proxies: it listens on loopback only, and its addresses are random.
func (r *Runtime) startStreaming() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for exec and port-forward: %w", err)
	}
	config := streaming.DefaultConfig
	config.Addr = listener.Addr().String()
	r.streams, err = streaming.NewServer(config, streams{r})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	go func() {
		err := (&http.Server{Handler: r.streams}).Serve(listener)
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			klog.ErrorS(err, "The server for exec and port-forward has ended")
		}
	}()
	return nil
}

// Exec implements CRI: it answers with the address of a stream.
func (r *Runtime) Exec(_ context.Context, request *cri.ExecRequest) (*cri.ExecResponse, error) {
	if _, err := r.running(request.ContainerId); err != nil {
		return nil, err
	}
	return r.streams.GetExec(request)
}

// Attach implements CRI by refusing.
func (r *Runtime) Attach(context.Context, *cri.AttachRequest) (*cri.AttachResponse, error) {
	return nil, errAttach
}

var errAttach = errors.New("the process node cannot attach to a running process; use kubectl logs " +
	"-f to read its output, kubectl exec to run a command beside it")

// PortForward implements CRI: it answers with the address of a stream.
func (r *Runtime) PortForward(
	_ context.Context, request *cri.PortForwardRequest,
) (*cri.PortForwardResponse, error) {
	if _, err := r.sandbox(request.PodSandboxId); err != nil {
		return nil, err
	}
	return r.streams.GetPortForward(request)
}

// streams is what the streaming server runs.
type streams struct{ runtime *Runtime }

func (s streams) Exec(
	ctx context.Context, id string, command []string, in io.Reader, out, errOut io.WriteCloser,
	tty bool, resize <-chan remotecommand.TerminalSize,
) error {
	p, err := s.runtime.running(id)
	if err != nil {
		return err
	}
	var code int
	if tty {
		code, err = runInTerminal(ctx, p, command, in, out, resize)
	} else {
		code, err = runCommand(ctx, p, command, in, writer(out), writer(errOut))
	}
	var start *startError
	if errors.As(err, &start) {
		if to := firstOf(errOut, out); to != nil {
			fmt.Fprintln(to, start) // clients show the exit code alone
		}
		return utilexec.CodeExitError{Err: err, Code: start.code}
	}
	if err == nil && code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("exit code %d", code), Code: code}
	}
	return err
}

func firstOf(writers ...io.WriteCloser) io.Writer {
	for _, w := range writers {
		if w != nil {
			return w
		}
	}
	return nil
}

// writer keeps a nil stream a nil interface.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return nil
	}
	return w
}

// runInTerminal gives the command a terminal of the node's.
func runInTerminal(
	ctx context.Context, p *process, argv []string, in io.Reader, out io.Writer,
	resize <-chan remotecommand.TerminalSize,
) (int, error) {
	master, slave, err := openTerminal()
	if err != nil {
		return 0, err
	}
	go func() {
		for size := range resize {
			_ = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ,
				&unix.Winsize{Row: size.Height, Col: size.Width}) // a wish, not a condition
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(master, in) }()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, master) // ends with EIO when the last process closes the terminal
	}()
	code, err := p.exec(ctx, argv, true, slave)
	if err == nil {
		<-done
	}
	return code, errors.Join(err, master.Close())
}

func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w (use exec without -t)", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("unlock a terminal: %w", err), master.Close())
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("number of a terminal: %w", err), master.Close())
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open a terminal: %w", err), master.Close())
	}
	return master, slave, nil
}

// Attach is refused; see Runtime.Attach.
func (s streams) Attach(
	context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool,
	<-chan remotecommand.TerminalSize,
) error {
	return errAttach
}

// PortForward connects from inside the pod, so it reaches what listens on the pod's loopback.
func (s streams) PortForward(
	ctx context.Context, id string, port int32, stream io.ReadWriteCloser,
) error {
	sandbox, err := s.runtime.sandbox(id)
	if err != nil {
		return err
	}
	conn, err := s.runtime.dial(sandbox, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(conn, stream) // either side may end first
		_ = conn.CloseWrite()
	}()
	_, err = io.Copy(stream, conn)
	return err
}

func (r *Runtime) dial(s *sandbox, port int32) (*net.TCPConn, error) {
	r.mu.Lock()
	pod, ready := s.pod, s.state == cri.PodSandboxState_SANDBOX_READY
	r.mu.Unlock()
	if !ready {
		return nil, fmt.Errorf("pod %s is not running", s.config.GetMetadata().GetName())
	}
	var conn *net.TCPConn
	to := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}
	dial := func() (err error) {
		conn, err = net.DialTCP("tcp4", nil, to)
		return err
	}
	if pod == nil {
		return conn, dial()
	}
	return conn, network.In(pod.Netns, dial)
}
