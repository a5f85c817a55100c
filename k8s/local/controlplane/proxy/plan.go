// Where to listen and where to send: a pure decision.

package proxy

import (
	"cmp"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// plan decides, from all Services and EndpointSlices, where to listen and where to send what
// arrives there. Frontends outside the range of Services are left out: only those addresses are
// the node's. A frontend without endpoints is in the plan, with none.
func plan(
	services []*v1.Service, endpoints []*discovery.EndpointSlice, within netip.Prefix,
) map[netip.AddrPort][]netip.AddrPort {
	wanted := map[netip.AddrPort][]netip.AddrPort{}
	byService := slicesByService(endpoints)
	for _, service := range services {
		for _, address := range clusterAddresses(service) {
			if !within.Contains(address) {
				continue
			}
			for _, port := range service.Spec.Ports {
				if protocolOf(port.Protocol) != v1.ProtocolTCP {
					continue
				}
				frontend := netip.AddrPortFrom(address, uint16(port.Port))
				wanted[frontend] = backends(byService[keyOf(service)], port.Name)
			}
		}
	}
	return wanted
}

// key names a Service.
type key struct{ namespace, name string }

func keyOf(service *v1.Service) key { return key{service.Namespace, service.Name} }

func slicesByService(all []*discovery.EndpointSlice) map[key][]*discovery.EndpointSlice {
	found := map[key][]*discovery.EndpointSlice{}
	for _, slice := range all {
		if slice.AddressType == discovery.AddressTypeIPv4 {
			k := key{slice.Namespace, slice.Labels[discovery.LabelServiceName]}
			found[k] = append(found[k], slice)
		}
	}
	return found
}

// clusterAddresses are the Service's own; a headless one has none.
func clusterAddresses(service *v1.Service) []netip.Addr {
	var addresses []netip.Addr
	for _, text := range service.Spec.ClusterIPs {
		if address, err := netip.ParseAddr(text); err == nil && address.Is4() {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// backends are the ready endpoints of one port. When none is ready, those that are being
// terminated but still serve get the traffic, as with kube-proxy.
func backends(endpoints []*discovery.EndpointSlice, port string) []netip.AddrPort {
	var ready, leaving []netip.AddrPort
	for _, slice := range endpoints {
		for _, p := range slice.Ports {
			if p.Port == nil || valueOf(p.Name, "") != port ||
				protocolOf(valueOf(p.Protocol, "")) != v1.ProtocolTCP {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				for _, address := range addressesOf(endpoint) {
					to := netip.AddrPortFrom(address, uint16(*p.Port))
					switch c := endpoint.Conditions; {
					case valueOf(c.Ready, true):
						ready = append(ready, to)
					case valueOf(c.Serving, false) && valueOf(c.Terminating, false):
						leaving = append(leaving, to)
					}
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = leaving
	}
	slices.SortFunc(ready, netip.AddrPort.Compare)
	return slices.Compact(ready)
}

func addressesOf(endpoint discovery.Endpoint) []netip.Addr {
	var addresses []netip.Addr
	for _, text := range endpoint.Addresses {
		if address, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

func protocolOf(p v1.Protocol) v1.Protocol { return cmp.Or(p, v1.ProtocolTCP) }

func valueOf[T any](pointer *T, otherwise T) T {
	if pointer == nil {
		return otherwise
	}
	return *pointer
}
