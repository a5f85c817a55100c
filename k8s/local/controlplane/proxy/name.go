// What Service names mean: a pure decision.

package proxy

import (
	"net/netip"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// names decides what Service names mean, from all Services and EndpointSlices: the Service's
// address, or, for a headless one, those of its ready endpoints. Names end with a dot.
func names(
	services []*v1.Service, endpoints []*discovery.EndpointSlice, domain string,
) map[string][]netip.Addr {
	found := map[string][]netip.Addr{}
	byService := slicesByService(endpoints)
	for _, service := range services {
		name := strings.ToLower(service.Name + "." + service.Namespace + ".svc." + domain + ".")
		if service.Spec.ClusterIP != v1.ClusterIPNone {
			if addresses := clusterAddresses(service); len(addresses) > 0 {
				found[name] = addresses
			}
			continue
		}
		found[name] = nil // it exists, whether it has endpoints or not
		for _, slice := range byService[keyOf(service)] {
			for _, endpoint := range slice.Endpoints {
				if !valueOf(endpoint.Conditions.Ready, true) {
					continue
				}
				addresses := addressesOf(endpoint)
				found[name] = append(found[name], addresses...)
				if host := valueOf(endpoint.Hostname, ""); host != "" {
					found[strings.ToLower(host)+"."+name] = addresses
				}
			}
		}
	}
	return found
}
