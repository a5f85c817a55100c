package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// serve answers every connection with its name, and then with what it was sent.
func serve(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				data, _ := io.ReadAll(conn) // until the client closes its half
				_, _ = conn.Write(append([]byte(name+":"), data...))
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

func freeAddress(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// ask sends text, closes its half, and returns the answer.
func ask(t *testing.T, address netip.AddrPort, text string) (string, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", address.String(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func TestConnectionsTakeTurnsAndHalfCloseWorks(t *testing.T) {
	front := freeAddress(t)
	l := newListeners()
	both := []netip.AddrPort{serve(t, "a"), serve(t, "b")}
	if err := l.apply(map[netip.AddrPort][]netip.AddrPort{front: both}); err != nil {
		t.Fatal(err)
	}
	defer l.apply(nil)
	count := map[string]int{}
	for range 6 {
		answer, err := ask(t, front, "hi")
		if err != nil {
			t.Fatal(err)
		}
		count[answer]++
	}
	if count["a:hi"] != 3 || count["b:hi"] != 3 {
		t.Errorf("%v", count)
	}
}

func TestADeadEndpointIsSkipped(t *testing.T) {
	front := freeAddress(t)
	l := newListeners()
	alive := serve(t, "a")
	if err := l.apply(map[netip.AddrPort][]netip.AddrPort{front: {freeAddress(t), alive}}); err != nil {
		t.Fatal(err)
	}
	defer l.apply(nil)
	for range 4 {
		if answer, err := ask(t, front, "x"); err != nil || answer != "a:x" {
			t.Errorf("%q %v", answer, err)
		}
	}
}

func TestWithoutEndpointsTheConnectionIsResetAndWithoutServiceRefused(t *testing.T) {
	front := freeAddress(t)
	l := newListeners()
	if err := l.apply(map[netip.AddrPort][]netip.AddrPort{front: nil}); err != nil {
		t.Fatal(err)
	}
	// The reset may come while the client still connects, writes, or only when it reads.
	if answer, err := ask(t, front, ""); !errors.Is(err, syscall.ECONNRESET) &&
		!errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("with no endpoint: %q, %v", answer, err)
	}
	if err := l.apply(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, front, "x"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("with no Service: %v", err)
	}
}
