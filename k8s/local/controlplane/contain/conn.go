// The socket between the node and a container.

package contain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// maxMessage bounds one message; the kernel's default socket buffer is a little larger.
const maxMessage = 128 << 10

// Conn carries JSON messages, with descriptors, over one end of a SOCK_SEQPACKET pair.
type Conn struct {
	file *os.File
	send sync.Mutex
	buf  []byte
}

// Pair makes two connected ends: one for the node, one to hand to the container.
func Pair() (*Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX,
		syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return NewConn(os.NewFile(uintptr(fds[0]), "control")), os.NewFile(uintptr(fds[1]), "container"), nil
}

// NewConn takes over one end of a pair. The descriptor must be in non-blocking mode.
func NewConn(file *os.File) *Conn {
	return &Conn{file: file, buf: make([]byte, maxMessage)}
}

// Send writes one message and the descriptors that go with it.
func (c *Conn) Send(message any, fds ...int) error {
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		return fmt.Errorf("the command line is too long: %d of %d bytes", len(data), maxMessage)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	c.send.Lock()
	defer c.send.Unlock()
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Write(func(fd uintptr) bool {
		_, failure = syscall.SendmsgN(int(fd), data, rights, nil, syscall.MSG_NOSIGNAL)
		return !errors.Is(failure, syscall.EAGAIN)
	})
	return errors.Join(err, failure)
}

// Receive waits for the next message. It returns io.EOF when the other end is gone. Only one
// goroutine may receive.
func (c *Conn) Receive(message any) ([]int, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	control := make([]byte, syscall.CmsgSpace(8*4))
	var size, controlSize int
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		size, controlSize, _, _, failure = syscall.Recvmsg(int(fd), c.buf, control,
			syscall.MSG_CMSG_CLOEXEC)
		return !errors.Is(failure, syscall.EAGAIN)
	})
	if err = errors.Join(err, failure); err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, io.EOF
	}
	fds, err := descriptors(control[:controlSize])
	if err != nil {
		return nil, err
	}
	return fds, json.Unmarshal(c.buf[:size], message)
}

// Close ends the connection; the other end sees io.EOF.
func (c *Conn) Close() error { return c.file.Close() }

func descriptors(control []byte) ([]int, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range messages {
		some, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		fds = append(fds, some...)
	}
	return fds, nil
}
