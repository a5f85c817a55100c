package proxy

import (
	"net/netip"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var serviceRange = netip.MustParsePrefix("10.96.0.0/16")

func service(name, address string, ports ...v1.ServicePort) *v1.Service {
	return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec: v1.ServiceSpec{ClusterIP: address, ClusterIPs: []string{address}, Ports: ports}}
}

func endpoint(address string, ready, serving, terminating bool) discovery.Endpoint {
	return discovery.Endpoint{Addresses: []string{address}, Conditions: discovery.EndpointConditions{
		Ready: &ready, Serving: &serving, Terminating: &terminating}}
}

func endpoints(of, port string, number int32, all ...discovery.Endpoint) *discovery.EndpointSlice {
	return &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: of + "-x",
			Labels: map[string]string{discovery.LabelServiceName: of}},
		AddressType: discovery.AddressTypeIPv4, Endpoints: all,
		Ports: []discovery.EndpointPort{{Name: &port, Port: &number}},
	}
}

func to(t *testing.T, got map[netip.AddrPort][]netip.AddrPort, from string, want ...string) {
	t.Helper()
	found, ok := got[netip.MustParseAddrPort(from)]
	var texts []string
	for _, backend := range found {
		texts = append(texts, backend.String())
	}
	if !ok || !slices.Equal(texts, want) {
		t.Errorf("%s: got %q (listening: %v), want %q", from, texts, ok, want)
	}
}

func TestPlanSendsToReadyEndpointsOfThePortsName(t *testing.T) {
	http := v1.ServicePort{Name: "http", Port: 80}
	metrics := v1.ServicePort{Name: "metrics", Port: 9090, Protocol: v1.ProtocolTCP}
	dns := v1.ServicePort{Name: "dns", Port: 53, Protocol: v1.ProtocolUDP}
	got := plan([]*v1.Service{service("web", "10.96.1.1", http, metrics, dns)},
		[]*discovery.EndpointSlice{
			endpoints("web", "http", 8080, endpoint("10.244.0.9", true, true, false),
				endpoint("10.244.0.8", false, false, false)),
			endpoints("web", "http", 8080, endpoint("10.244.0.7", true, true, false),
				endpoint("10.244.0.9", true, true, false)),
			endpoints("other", "metrics", 1, endpoint("10.244.0.1", true, true, false)),
		}, serviceRange)
	to(t, got, "10.96.1.1:80", "10.244.0.7:8080", "10.244.0.9:8080")
	to(t, got, "10.96.1.1:9090")
	if len(got) != 2 {
		t.Errorf("UDP must be left out: %v", got)
	}
}

func TestPlanTakesEndpointsMadeByHand(t *testing.T) {
	slice := endpoints("api", "", 6443, discovery.Endpoint{Addresses: []string{"10.244.0.1"}})
	got := plan([]*v1.Service{service("api", "10.96.0.1", v1.ServicePort{Port: 443})},
		[]*discovery.EndpointSlice{slice}, serviceRange)
	to(t, got, "10.96.0.1:443", "10.244.0.1:6443")
}

func TestPlanFallsBackToTerminatingEndpoints(t *testing.T) {
	port := v1.ServicePort{Port: 80}
	leaving := endpoint("10.244.0.5", false, true, true)
	services := []*v1.Service{service("web", "10.96.1.1", port)}
	got := plan(services, []*discovery.EndpointSlice{endpoints("web", "", 80, leaving)}, serviceRange)
	to(t, got, "10.96.1.1:80", "10.244.0.5:80")
	got = plan(services, []*discovery.EndpointSlice{endpoints("web", "", 80, leaving,
		endpoint("10.244.0.6", true, true, false))}, serviceRange)
	to(t, got, "10.96.1.1:80", "10.244.0.6:80")
}

func TestPlanLeavesHeadlessAndForeignAddressesOut(t *testing.T) {
	port := v1.ServicePort{Port: 80}
	got := plan([]*v1.Service{service("headless", "None", port), service("external", "", port),
		service("foreign", "192.0.2.1", port)}, nil, serviceRange)
	if len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
