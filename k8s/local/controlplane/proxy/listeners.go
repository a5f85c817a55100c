// Listeners and connections: the part of the proxy that acts.

package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// dialTimeout is for one endpoint; all are one hop away.
const dialTimeout = 5 * time.Second

// listeners keeps a listener for every frontend of the plan.
type listeners struct {
	mu   sync.Mutex
	open map[netip.AddrPort]*frontend
}

func newListeners() *listeners { return &listeners{open: map[netip.AddrPort]*frontend{}} }

// apply opens and closes listeners until they are what the plan says. Connections that are open
// stay: they end with their endpoint. It reports every address that could not be opened, and may
// be called again to try once more.
func (l *listeners) apply(wanted map[netip.AddrPort][]netip.AddrPort) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failures []error
	for address, f := range l.open {
		if _, ok := wanted[address]; !ok {
			failures = append(failures, f.listener.Close())
			delete(l.open, address)
		}
	}
	for address, backends := range wanted {
		f, ok := l.open[address]
		if !ok {
			listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(address))
			if err != nil {
				failures = append(failures, fmt.Errorf("listen on %s: %w", address, err))
				continue
			}
			f = &frontend{listener: listener}
			l.open[address] = f
			go f.serve()
		}
		f.set(backends)
	}
	return errors.Join(failures...)
}

// frontend is one address and port of a Service.
type frontend struct {
	listener *net.TCPListener

	mu       sync.Mutex
	backends []netip.AddrPort
	next     int
}

func (f *frontend) set(backends []netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = slices.Clone(backends)
}

// order is the endpoints in the order in which one connection tries them: each connection begins
// with the next one.
func (f *frontend) order() []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.backends) == 0 {
		return nil
	}
	f.next = (f.next + 1) % len(f.backends)
	return append(slices.Clone(f.backends[f.next:]), f.backends[:f.next]...)
}

func (f *frontend) serve() {
	for {
		conn, err := f.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			klog.ErrorS(err, "Cannot accept a connection", "address", f.listener.Addr())
			time.Sleep(100 * time.Millisecond) // out of descriptors, most likely: let some end
			continue
		}
		go f.forward(conn)
	}
}

func (f *frontend) forward(client *net.TCPConn) {
	defer client.Close()
	server := f.dial()
	if server == nil {
		// Reset rather than close: an end of stream could be taken for an empty answer.
		_ = client.SetLinger(0)
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		relay(server, client)
	}()
	relay(client, server)
	<-done
}

// dial connects to the next endpoint that accepts, or returns nil.
func (f *frontend) dial() *net.TCPConn {
	for _, backend := range f.order() {
		conn, err := net.DialTimeout("tcp4", backend.String(), dialTimeout)
		if err == nil {
			return conn.(*net.TCPConn)
		}
		klog.V(2).InfoS("Endpoint does not answer", "endpoint", backend, "err", err)
	}
	return nil
}

// relay copies one direction. When its source has ended, the other side learns it but may go on
// sending; when it fails, both ends close.
func relay(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = to.Close(), from.Close() // the other direction ends by this
		return
	}
	_ = to.CloseWrite() // it may be closed already
}
