// Package network is a lab of network namespaces on one machine: sites with a LAN behind routers with NAT, all with
// the same addresses if need be, and public hosts, joined by an internet from which nothing leaves the machine.
//
// A Topology says what there is, Build makes it. Nothing in it has a name outside of this process, which takes all
// of it along when it ends, the processes that it started in it too.
package network

import (
	"fmt"
	"net/netip"
	"os"

	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/network/wire"
)

// Topology is what a lab is made of. The places in it, each a network namespace, are called by these names:
// "internet"; "HOST" for a public host; "SITE" for the edge of a site, "SITE/HOST" for another host of its LAN and
// "SITE/router" for its router. Links are called "SITE/wan0", "SITE/wan1" and so on, and "HOST/wan0".
type Topology struct {
	// Name tells labs on one machine apart.
	Name string `json:"name"`
	// Hosts can be reached by everyone, like a hub.
	Hosts []PublicHost `json:"hosts,omitempty"`
	// Sites can reach the hosts, and nobody can reach them.
	Sites []Site `json:"sites,omitempty"`
}

// PublicHost is a host on the internet without a firewall.
type PublicHost struct {
	Name string `json:"name"`
	// Address is one for documentation (RFC 5737). Without it the host gets one of its own of 203.0.113.0/24.
	Address netip.Addr `json:"address,omitzero"`
	// Wire is what leads to the internet; nothing is a link of the kernel, which does nothing to packets.
	Wire *Wire `json:"wire,omitempty"`
}

// Wire is a link in user space (package wire). Up leads to the internet, Down from it.
type Wire struct {
	Up   wire.Conditions `json:"up,omitzero"`
	Down wire.Conditions `json:"down,omitzero"`
}

// Site is a LAN with an edge and a router.
type Site struct {
	Name string `json:"name"`
	// LAN is its network, 10.42.0.0/16 if nothing is said, for every site. Its first address is the router's, those
	// behind that are the edge's: one for each uplink. What comes from such an address leaves by that uplink.
	LAN netip.Prefix `json:"lan,omitzero"`
	// Hosts in the LAN beside the edge. They leave by the first uplink.
	Hosts []LANHost `json:"hosts,omitempty"`
	// Uplinks of the router, at least one.
	Uplinks []Uplink `json:"uplinks"`
	// IdleSeconds is after which silence NAT forgets a connection or a mapping; 0 leaves it to the kernel: five
	// days for TCP, two minutes for UDP.
	IdleSeconds int `json:"idleSeconds,omitempty"`
}

// LANHost is a host in a LAN.
type LANHost struct {
	Name string `json:"name"`
	// Address in the LAN. Without it the host gets the next one from 10.42.1.1 on.
	Address netip.Addr `json:"address,omitzero"`
	// Namespace is the file of a network namespace that is there, like /run/netns/NAME; the host is in a new one
	// without it.
	Namespace string `json:"namespace,omitempty"`
}

// NAT is how a router maps the addresses of its LAN (RFC 4787).
type NAT string

const (
	// EndpointIndependent NAT uses one port for all that comes from one port of the LAN. What anybody sends to
	// that port by UDP is let in while the mapping lives, and hosts of the LAN reach each other by it. By TCP
	// only who was called can answer.
	EndpointIndependent NAT = "endpoint-independent"
	// Symmetric NAT uses a port at random for every connection, and lets in only who was called.
	Symmetric NAT = "symmetric"
)

// Uplink is how a router is linked to the internet.
type Uplink struct {
	NAT NAT `json:"nat"`
	// Address is a public one. Without it the uplink gets one of its own of 198.51.100.0/24.
	Address netip.Addr `json:"address,omitzero"`
	// Forward are ports, of TCP and UDP, at which the edge can be reached from outside, as an operator may set up
	// in a router. None is the rule.
	Forward []uint16 `json:"forward,omitempty"`
	// Wire is as that of a PublicHost.
	Wire *Wire `json:"wire,omitempty"`
}

// Read a topology from a YAML file.
func Read(file string) (*Topology, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	topology, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return topology, nil
}

// Parse a topology in YAML.
func Parse(data []byte) (*Topology, error) {
	topology := &Topology{}
	if err := yaml.UnmarshalStrict(data, topology); err != nil {
		return nil, err
	}
	return topology.complete()
}
