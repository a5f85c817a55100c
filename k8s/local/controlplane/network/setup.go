// The subcommand "network": the node's side of the network.

package network

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is the name of the device that carries the node's address.
const Bridge = "pods0"

// Main is the subcommand "network".
func Main(args []string) error {
	flags := flag.NewFlagSet("network", flag.ExitOnError)
	node := flags.String("node-ip", "10.244.0.1", "the node's address, inside the pod range")
	pods := flags.String("pod-cidr", "10.244.0.0/16", "the range of the pods' addresses")
	services := flags.String("service-cidr", "10.96.0.0/16", "the range of the Services' addresses")
	if err := flags.Parse(args); err != nil {
		return err
	}
	nodeIP, err := netip.ParseAddr(*node)
	if err != nil {
		return fmt.Errorf("--node-ip: %w", err)
	}
	podCIDR, err := netip.ParsePrefix(*pods)
	if err != nil {
		return fmt.Errorf("--pod-cidr: %w", err)
	}
	serviceCIDR, err := netip.ParsePrefix(*services)
	if err != nil {
		return fmt.Errorf("--service-cidr: %w", err)
	}
	return Setup(nodeIP, podCIDR, serviceCIDR)
}

// Setup makes the node's network in the namespace of the caller. Doing it again changes nothing.
// It refuses a namespace that already has a way out, because that is the host's.
func Setup(node netip.Addr, pods, services netip.Prefix) error {
	if !pods.Contains(node) || services.Overlaps(pods) {
		return fmt.Errorf("the node's address %s must lie in the pod range %s, and the Service "+
			"range %s outside it", node, pods, services)
	}
	if err := refuseHost(); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", explain(err))
	}
	bridge, err := ensureBridge()
	if err != nil {
		return err
	}
	if err := ensureAddress(bridge, netip.PrefixFrom(node, pods.Bits())); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(services),
		Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Table: unix.RT_TABLE_LOCAL}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("make %s local: %w", services, err)
	}
	return answerForOutside()
}

// answerForOutside lets the node tell pods at once that it knows no way to an address outside.
// Without forwarding it would drop their packets, and they would wait for a timeout. Forwarding
// leads nowhere: there is no other network.
func answerForOutside() error {
	const file = "/proc/sys/net/ipv4/ip_forward"
	err := os.WriteFile(file, []byte("1"), 0o644)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil // a /proc that is read-only: then pods wait
	}
	return err
}

// refuseHost looks for what a fresh namespace does not have: a network card or a way out.
func refuseHost() error {
	const advice = "so it is not a fresh one; start me inside a namespace of the cluster's own " +
		"(unshare --user --map-root-user --net)"
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if route.Gw != nil {
			return fmt.Errorf("this network namespace has a route to %s, %s", route.Gw, advice)
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list network devices: %w", err)
	}
	for _, link := range links {
		name := link.Attrs().Name
		if link.Type() == "device" && name != "lo" {
			return fmt.Errorf("this network namespace has the device %s, %s", name, advice)
		}
	}
	return nil
}

func ensureBridge() (netlink.Link, error) {
	link, err := netlink.LinkByName(Bridge)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = Bridge
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return nil, fmt.Errorf("make the bridge %s: %w", Bridge, explain(err))
		}
		link, err = netlink.LinkByName(Bridge)
	}
	if err != nil {
		return nil, fmt.Errorf("find the bridge %s: %w", Bridge, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bring the bridge %s up: %w", Bridge, err)
	}
	return link, nil
}

func ensureAddress(link netlink.Link, prefix netip.Prefix) error {
	address := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}
	err := netlink.AddrReplace(link, &netlink.Addr{IPNet: address})
	if err != nil {
		return fmt.Errorf("give %s the address %s: %w", link.Attrs().Name, prefix, err)
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Masked().Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}
}

// explain adds what a person can do to errors that come from missing rights or modules.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (the caller needs CAP_NET_ADMIN in its network namespace)", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w (the kernel lacks the module bridge or veth)", err)
	}
	return err
}
