package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// The addresses of the internet are for documentation (RFC 5737): they belong to nobody.
var (
	routerOfInternet = netip.MustParseAddr("192.0.2.1")
	uplinkNetwork    = netip.MustParsePrefix("198.51.100.0/24")
	hostNetwork      = netip.MustParsePrefix("203.0.113.0/24")
	documentation    = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), uplinkNetwork, hostNetwork}
)

// Of a LAN.
var defaultLAN = netip.MustParsePrefix("10.42.0.0/16")

const (
	// hostsBegin so far behind the first address of a LAN, and there may be 254 of them.
	hostsBegin = 256
	// smallestLAN has room for these.
	smallestLAN = 23
)

// router is the router's address in the LAN.
func (s *Site) router() netip.Addr { return offset(s.LAN.Addr(), 1) }

// edge is the edge's address for an uplink.
func (s *Site) edge(uplink int) netip.Addr { return offset(s.LAN.Addr(), 2+uplink) }

func (s *Site) hostNetwork() netip.Prefix {
	return netip.PrefixFrom(offset(s.LAN.Addr(), hostsBegin), 24)
}

func offset(address netip.Addr, count int) netip.Addr {
	for range count {
		address = address.Next()
	}
	return address
}

func isDocumentation(address netip.Addr) bool {
	return slices.ContainsFunc(documentation, func(network netip.Prefix) bool { return network.Contains(address) })
}

// pool knows which addresses are in use.
type pool struct{ used map[netip.Addr]bool }

func newPool() *pool { return &pool{map[netip.Addr]bool{}} }

// use takes an address that is asked for, if one is.
func (p *pool) use(address netip.Addr) error {
	if !address.IsValid() {
		return nil
	}
	if p.used[address] {
		return fmt.Errorf("the address %s is used twice", address)
	}
	p.used[address] = true
	return nil
}

// fill takes the next unused address of a network, if there is none yet.
func (p *pool) fill(address *netip.Addr, network netip.Prefix) error {
	if address.IsValid() {
		return nil
	}
	for candidate := network.Addr().Next(); network.Contains(candidate); candidate = candidate.Next() {
		if !p.used[candidate] {
			*address = candidate
			return p.use(candidate)
		}
	}
	return fmt.Errorf("%s has no address left", network)
}
