// A pod's network namespace.

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Pod is one pod's network namespace. It lives as long as its file is open or a process is in it,
// so nothing is left behind by a node that was killed.
type Pod struct {
	Address netip.Addr
	Netns   *os.File
	device  string
}

// podDevice is the name that the device has inside a pod.
const podDevice = "eth0"

// NewPod makes a namespace with the given address, joined to the bridge. id makes the name of
// the device on the node; its first 11 characters must tell pods apart.
func NewPod(id string, address, node netip.Addr, pods netip.Prefix) (*Pod, error) {
	file, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", explain(err))
	}
	p := &Pod{Address: address, Netns: file, device: "pod" + id[:11]}
	if err := p.join(node, pods); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// newNamespace makes a namespace on a thread of its own, which then ends.
func newNamespace() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread must not run anything else
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		// As in other runtimes: a pod may listen on ports below 1024 without privileges.
		_ = os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o644)
		file, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		done <- result{file, err}
	}()
	r := <-done
	return r.file, r.err
}

func (p *Pod) join(node netip.Addr, pods netip.Prefix) error {
	bridge, err := netlink.LinkByName(Bridge)
	if err != nil {
		return fmt.Errorf("find the bridge %s (did the subcommand network run?): %w", Bridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.device
	attrs.MasterIndex = bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: podDevice,
		PeerNamespace: netlink.NsFd(p.Netns.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the pod's device: %w", explain(err))
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("bring the pod's device up: %w", err)
	}
	inside, err := netlink.NewHandleAt(netns.NsHandle(p.Netns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter the pod's network: %w", err)
	}
	defer inside.Close()
	return configure(inside, p.Address, node, pods)
}

func configure(inside *netlink.Handle, address, node netip.Addr, pods netip.Prefix) error {
	for _, name := range []string{"lo", podDevice} {
		link, err := inside.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s in the pod: %w", name, err)
		}
		if err := inside.LinkSetUp(link); err != nil {
			return fmt.Errorf("bring %s up in the pod: %w", name, err)
		}
		if name == "lo" {
			continue
		}
		own := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(pods.Bits(), 32)}
		if err := inside.AddrAdd(link, &netlink.Addr{IPNet: own}); err != nil {
			return fmt.Errorf("give the pod its address: %w", err)
		}
		// Service addresses leave by this route, and are local on the node.
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: node.AsSlice()}
		if err := inside.RouteAdd(route); err != nil {
			return fmt.Errorf("give the pod its route: %w", err)
		}
	}
	return nil
}

// Close removes the pod's device and lets go of the namespace.
func (p *Pod) Close() error {
	link, err := netlink.LinkByName(p.device)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		err = nil
	case err == nil:
		err = netlink.LinkDel(link)
	}
	return errors.Join(err, p.Netns.Close())
}

// In runs do on a thread that is inside the namespace: what it opens belongs to the pod.
func In(namespace *os.File, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread must not run anything else
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the pod's network: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
