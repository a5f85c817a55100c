// The entry: how the program becomes a container's first process.

package contain

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// init turns the process into a container's first one, when it was started as that. See doc.go
// for why it is an init function.
func init() {
	if len(os.Args) == 2 && os.Args[1] == Command {
		os.Exit(run())
	}
}

// failedCode is the exit status of a container whose command could not be started.
const failedCode = 128

func run() int {
	syscall.CloseOnExec(controlFD)
	syscall.CloseOnExec(specFD)
	if err := syscall.SetNonblock(controlFD, true); err != nil {
		fmt.Fprintln(os.Stderr, Command+" is started by the process node only")
		return failedCode
	}
	conn := NewConn(os.NewFile(controlFD, "control"))
	a := &agent{conn: conn, children: map[int]uint64{}, pids: map[uint64]int{}}
	if err := a.begin(); err != nil {
		// When the node is gone there is nobody left to tell.
		_ = conn.Send(Reply{Event: EventFailed, Error: err.Error(), Code: failedCode})
		return failedCode
	}
	go a.serve()
	go a.forwardSignals()
	return a.reap()
}

func readSpec() (*Spec, error) {
	file := os.NewFile(specFD, "spec")
	defer file.Close()
	if _, err := file.Seek(0, 0); err != nil {
		return nil, err
	}
	spec := &Spec{}
	return spec, json.NewDecoder(file).Decode(spec)
}

// begin builds the container and starts its command.
func (a *agent) begin() error {
	spec, err := readSpec()
	if err != nil {
		return fmt.Errorf("read the specification: %w", err)
	}
	a.spec = spec
	syscall.Umask(0)
	if err := buildRoot(spec); err != nil {
		return err
	}
	syscall.Umask(0o022)
	if spec.Hostname != "" {
		if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
	}
	if err := dropPrivileges(spec.Capabilities, spec.NoNewPrivileges); err != nil {
		return err
	}
	return a.start(Request{Argv: spec.Argv}, []int{0, 1, 2})
}

// forwardSignals hands on what the container's own processes send to their process 1.
func (a *agent) forwardSignals() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2)
	for s := range signals {
		a.signal(0, s.(syscall.Signal))
	}
}
