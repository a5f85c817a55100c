package proxy

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

func TestNamesOfServices(t *testing.T) {
	host := "web-0"
	ready := endpoint("10.244.0.9", true, true, false)
	ready.Hostname = &host
	got := names([]*v1.Service{service("api", "10.96.1.1"), service("web", "None"), service("x", "")},
		[]*discovery.EndpointSlice{endpoints("web", "", 80, ready,
			endpoint("10.244.0.8", false, false, false))}, "cluster.local")
	want := map[string]string{"api.ns.svc.cluster.local.": "[10.96.1.1]",
		"web.ns.svc.cluster.local.":       "[10.244.0.9]",
		"web-0.web.ns.svc.cluster.local.": "[10.244.0.9]"}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, addresses := range want {
		if fmt.Sprint(got[name]) != addresses {
			t.Errorf("%s: %v", name, got[name])
		}
	}
}

func question(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind,
			Class: dnsmessage.ClassINET}}}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestResolverAnswers(t *testing.T) {
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	r := &resolver{}
	r.set(map[string][]netip.Addr{"api.ns.svc.c.": {netip.MustParseAddr("10.96.1.1")}, "many.": many})
	cases := []struct {
		name      string
		kind      dnsmessage.Type
		code      dnsmessage.RCode
		answers   int
		truncated bool
	}{
		{"API.ns.svc.c.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1, false},
		{"api.ns.svc.c.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, 0, false},
		{"example.org.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0, false},
		{"many.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 0, true},
	}
	for _, c := range cases {
		packed, err := r.answer(question(t, c.name, c.kind), maxUDP)
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(packed); err != nil {
			t.Fatal(err)
		}
		if m.ID != 7 || m.RCode != c.code || len(m.Answers) != c.answers || m.Truncated != c.truncated {
			t.Errorf("%s %v: %+v", c.name, c.kind, m)
		}
	}
	for _, bad := range [][]byte{nil, {1, 2, 3}} {
		if _, err := r.answer(bad, maxUDP); err == nil {
			t.Errorf("%v got an answer", bad)
		}
	}
}
