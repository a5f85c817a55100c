// What the node tells a container, and what the container answers.

package contain

// Command is the first argument that turns the binary into a container's first process.
const Command = "container-init"

// File descriptors that the first process inherits besides stdin, stdout and stderr.
const (
	controlFD = 3
	specFD    = 4
)

// Mount is one volume, or one file, that the container sees at Target.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

// Spec is everything that the first process must know to become the container.
type Spec struct {
	// Root is an empty folder of the host on which the new root file system is built.
	Root     string
	Hostname string
	Argv     []string
	Env      []string
	// Dir is the working folder; empty means "/".
	Dir    string
	Mounts []Mount
	// Keep are host paths that stay visible, read-only, where a private folder or a volume
	// would hide them: the interpreter and the checkout.
	Keep []string
	// Hide are host folders that appear empty: the node's own state.
	Hide []string
	// Devices are paths of device files under /dev, beyond the usual ones.
	Devices []string
	// ReadOnlyRoot leaves nothing writable but the mounts that are.
	ReadOnlyRoot bool
	// Capabilities are the numbers that the command may have at most.
	Capabilities    []int
	NoNewPrivileges bool
	// Files are small files that the node provides, by path, such as /etc/resolv.conf.
	Files map[string]string
}

// Request is what the node asks of a running container.
type Request struct {
	ID   uint64
	Op   string // OpExec or OpSignal
	Argv []string
	// TTY says that the one descriptor sent along is a terminal's slave side. Otherwise three
	// descriptors come: stdin, stdout, stderr.
	TTY    bool
	Signal int
}

// Operations of a Request. The main process has ID 0.
const (
	OpExec   = "exec"
	OpSignal = "signal"
)

// Reply is what the container tells the node.
type Reply struct {
	ID    uint64
	Event string // EventStarted, EventFailed or EventExited
	Error string
	Code  int
}

// Events of a Reply.
const (
	EventStarted = "started"
	EventFailed  = "failed"
	EventExited  = "exited"
)
