package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
)

// Policies of routing in a router: what stays in the LAN, and the tables of uplinks from this one on.
const (
	lanPreference    = 100
	uplinkPreference = 200
	firstTable       = 100
)

// addSite makes a router, an edge and the hosts beside it.
func (l *Lab) addSite(site *Site) error {
	router, err := l.add(site.Name+"/router", site.router(), lanDevice, "")
	if err != nil {
		return err
	}
	if err := errors.Join(configureRouter(router, site), applyRules(router, site)); err != nil {
		return err
	}
	for i, uplink := range site.Uplinks {
		link, err := l.connect(router, site.Name, fmt.Sprintf(wanDevice, i), uplink.Address, uplink.Wire)
		if err != nil {
			return err
		}
		link.site, link.uplink = site, i
		if err := router.IP(uplinkRoutes(site, i)...); err != nil {
			return err
		}
	}
	var addresses []netip.Addr
	for i := range site.Uplinks {
		addresses = append(addresses, site.edge(i))
	}
	if err := l.addLANHost(site, router, site.Name, "", 0, addresses); err != nil {
		return err
	}
	for i, host := range site.Hosts {
		if err := l.addLANHost(site, router, site.Name+"/"+host.Name, host.Namespace, 1+i, []netip.Addr{host.Address}); err != nil {
			return err
		}
	}
	return nil
}

func configureRouter(router *Place, site *Site) error {
	// What goes from host to host of the LAN is no matter of the router's.
	if err := router.Set("net/bridge/bridge-nf-call-iptables", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if site.IdleSeconds > 0 {
		for _, timeout := range []string{"tcp_timeout_established", "udp_timeout", "udp_timeout_stream"} {
			if err := router.Set("net/netfilter/nf_conntrack_"+timeout, strconv.Itoa(site.IdleSeconds)); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		router.Set("net/ipv4/ip_forward", "1"),
		router.IP(
			fmt.Sprintf("link add %s type bridge", lanDevice),
			fmt.Sprintf("addr add %s/%d dev %s", site.router(), site.LAN.Bits(), lanDevice),
			fmt.Sprintf("link set %s up", lanDevice),
			fmt.Sprintf("rule add preference %d to %s lookup main", lanPreference, site.LAN),
		),
	)
}

// uplinkRoutes let what comes from the edge's address for an uplink leave by it, and all others by the first.
func uplinkRoutes(site *Site, uplink int) []string {
	way := fmt.Sprintf("route add default via %s dev "+wanDevice+" onlink", routerOfInternet, uplink)
	commands := []string{
		fmt.Sprintf("%s table %d", way, firstTable+uplink),
		fmt.Sprintf("rule add preference %d from %s lookup %d", uplinkPreference+uplink, site.edge(uplink), firstTable+uplink),
	}
	if uplink == 0 {
		commands = append(commands, way)
	}
	return commands
}

// addLANHost puts a host to a port of the router's bridge. What says nothing about its own address has the first.
func (l *Lab) addLANHost(site *Site, router *Place, name, file string, port int, addresses []netip.Addr) error {
	host, err := l.add(name, addresses[0], hostDevice, file)
	if err != nil {
		return err
	}
	routerPort := fmt.Sprintf("port%d", port)
	if err := pair(router, routerPort, host, hostDevice); err != nil {
		return err
	}
	var commands []string
	for _, address := range addresses {
		commands = append(commands, fmt.Sprintf("addr add %s/%d dev %s", address, site.LAN.Bits(), hostDevice))
	}
	commands = append(commands, fmt.Sprintf("route add default via %s dev %s src %s", site.router(), hostDevice, addresses[0]))
	return errors.Join(
		router.IP(fmt.Sprintf("link set %s master %s", routerPort, lanDevice)),
		host.IP(commands...),
	)
}

func applyRules(router *Place, site *Site) error {
	_, err := router.Run(site.rules(), "nft", "-f", "-")
	return err
}
