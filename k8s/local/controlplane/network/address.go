// Package network makes the cluster's network inside one network namespace: a bridge that holds
// the node's address, a namespace for each pod joined to it by a veth pair, and a local route
// that gives the node every Service address. No packet filter, no way in or out.
package network

import (
	"fmt"
	"net/netip"
	"sync"
)

// Pool hands out pod addresses. One that was released is used again as late as possible: late
// packets and caches of a pod that is gone must not meet a new one.
type Pool struct {
	mu     sync.Mutex
	prefix netip.Prefix
	last   netip.Addr
	used   map[netip.Addr]bool
}

// NewPool hands out addresses of prefix, but never one of reserved.
func NewPool(prefix netip.Prefix, reserved ...netip.Addr) *Pool {
	p := &Pool{prefix: prefix.Masked(), last: prefix.Masked().Addr(), used: map[netip.Addr]bool{}}
	for _, addr := range reserved {
		p.used[addr] = true
	}
	return p
}

// Take returns an address that nobody has. It never returns the network's own address nor the
// broadcast one.
func (p *Pool) Take() (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for start := p.last; ; {
		p.last = p.last.Next()
		if !p.prefix.Contains(p.last) || !p.prefix.Contains(p.last.Next()) {
			p.last = p.prefix.Addr()
		} else if !p.used[p.last] {
			p.used[p.last] = true
			return p.last, nil
		}
		if p.last == start {
			return netip.Addr{}, fmt.Errorf("no free pod address in %s", p.prefix)
		}
	}
}

// Release gives an address back. Giving back one that is free already does nothing.
func (p *Pool) Release(addr netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, addr)
}
