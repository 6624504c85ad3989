package network

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const forgetLimit = 10 * time.Second

// PublicAddress of a link is that of the host, or the one that a router's NAT uses.
func (l *Lab) PublicAddress(link *Link) netip.Addr {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if link.site == nil {
		return link.place.Address
	}
	return link.site.Uplinks[link.uplink].Address
}

// LocalAddress of an uplink is the one of its edge from which things leave by it.
func (l *Lab) LocalAddress(link *Link) netip.Addr {
	if link.site == nil {
		return link.place.Address
	}
	return link.site.edge(link.uplink)
}

// Rebind gives an uplink another public address, as providers do now and then, and returns it: nothing that was
// sent to the old one arrives any more, and nothing that still comes from it gets through.
func (l *Lab) Rebind(link *Link) (netip.Addr, error) {
	if link.site == nil {
		return netip.Addr{}, fmt.Errorf("%s is not behind NAT", link.Name)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	uplink := &link.site.Uplinks[link.uplink]
	before, now := uplink.Address, netip.Addr{}
	if err := l.public.fill(&now, uplinkNetwork); err != nil {
		return netip.Addr{}, err
	}
	uplink.Address = now
	internet := l.places[Internet]
	err := errors.Join(
		internet.IP(fmt.Sprintf("route add %s dev %s", now, link.far), fmt.Sprintf("route del %s dev %s", before, link.far)),
		link.place.IP(fmt.Sprintf("addr add %s/32 dev %s", now, link.device), fmt.Sprintf("addr del %s/32 dev %s", before, link.device)),
		applyRules(link.place, link.site),
		awaitForgotten(link.place, before),
	)
	if err != nil {
		return now, fmt.Errorf("rebind %s: %w", link.Name, err)
	}
	return now, nil
}

// awaitForgotten waits until the kernel has forgotten what it has translated to an address. It begins with that
// when the address is taken away.
func awaitForgotten(router *Place, address netip.Addr) error {
	for deadline := time.Now().Add(forgetLimit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		known, err := router.Tracks("dst=" + address.String())
		if err != nil || !known {
			return err
		}
	}
	return fmt.Errorf("the kernel does not forget %s", address)
}

// Forget lets the router of a site forget all connections and mappings, as when it starts anew.
func (l *Lab) Forget(site string) error {
	router, err := l.Place(site + "/router")
	if err != nil {
		return err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for i := range l.Topology.Sites {
		if one := &l.Topology.Sites[i]; one.Name == site {
			// Loaded anew, the rules have learned nothing.
			return errors.Join(applyRules(router, one), router.ForgetConnections())
		}
	}
	return nil
}
