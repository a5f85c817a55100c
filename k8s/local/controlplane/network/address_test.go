package network

import (
	"net/netip"
	"testing"
)

func TestPoolNeverGivesAnAddressThatIsInUse(t *testing.T) {
	node := netip.MustParseAddr("10.1.0.1")
	pool := NewPool(netip.MustParsePrefix("10.1.0.0/29"), node)
	seen := map[netip.Addr]bool{}
	for range 5 { // .2 to .6: not the network, the node or the broadcast address
		addr, err := pool.Take()
		if err != nil {
			t.Fatal(err)
		}
		last := addr.As4()[3]
		if seen[addr] || addr == node || last == 0 || last == 7 {
			t.Errorf("%s must not be given", addr)
		}
		seen[addr] = true
	}
	if addr, err := pool.Take(); err == nil {
		t.Errorf("the pool is empty, but gave %s", addr)
	}
	back := netip.MustParseAddr("10.1.0.4")
	pool.Release(back)
	if addr, err := pool.Take(); err != nil || addr != back {
		t.Errorf("got %s, %v", addr, err)
	}
}

func TestPoolReusesAnAddressAsLateAsPossible(t *testing.T) {
	pool := NewPool(netip.MustParsePrefix("10.1.0.0/28"))
	first, _ := pool.Take()
	pool.Release(first)
	for range 12 {
		addr, err := pool.Take()
		if err != nil || addr == first {
			t.Fatalf("%s came back too early (%v)", addr, err)
		}
		pool.Release(addr)
	}
}
