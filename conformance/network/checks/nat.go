package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network"
	"selvedge.dev/conformance/network/sniff"
)

// natCheck is made for both kinds of NAT.
type natCheck struct {
	name string
	run  func(*trial, network.NAT)
}

var natChecks = []natCheck{
	{"sites with the same addresses reach a server and keep apart", reachAndKeepApart},
	{"nobody gets in", nobodyGetsIn},
	{"what a port is mapped to", mapping},
	{"whom a mapping lets in", filtering},
	{"another address", rebinding},
	{"a router that forgets", forgetting},
	{"a silent connection is forgotten", idle},
}

// Ports of servers in checks.
const (
	port      = 7000
	otherPort = 7001
)

// twoSites have the same addresses; two servers are for both.
func twoSites(nat network.NAT) *network.Topology {
	site := func(name string) network.Site {
		return network.Site{Name: name, Hosts: []network.LANHost{{Name: "backend"}}, Uplinks: []network.Uplink{{NAT: nat}}}
	}
	return &network.Topology{
		Name:  "check",
		Hosts: []network.PublicHost{{Name: "server"}, {Name: "stranger"}},
		Sites: []network.Site{site("a"), site("b")},
	}
}

func reachAndKeepApart(t *trial, nat network.NAT) {
	lab := t.build(twoSites(nat))
	t.serve(t.place(lab, "server"), port, "server")
	for _, site := range []string{"a", "b"} {
		t.serve(t.place(lab, site+"/backend"), port, site)
	}
	for _, site := range []string{"a", "b"} {
		edge := t.place(lab, site)
		require.Equal(t, "10.42.0.2", edge.Address.String())
		outside := t.dial(edge, edge.Address, at(t.place(lab, "server"), port))
		require.Equal(t, "server", outside.server)
		require.Equal(t, lab.PublicAddress(t.link(lab, site+"/wan0")), outside.from.Addr())
		// Both sites have a host at this address.
		inside := t.dial(edge, edge.Address, "10.42.1.1:7000")
		require.Equal(t, site, inside.server)
		require.Equal(t, edge.Address, inside.from.Addr(), "no NAT within the LAN")
	}
}

func nobodyGetsIn(t *trial, nat network.NAT) {
	lab := t.build(twoSites(nat))
	a, b, uplink := t.place(lab, "a"), t.place(lab, "b"), t.link(lab, "a/wan0")
	t.serve(a, port, "a")
	t.serve(t.place(lab, "a/backend"), port, "backend")
	exposure, err := lab.Scan(uplink)
	require.NoError(t, err)
	require.Equal(t, 2*65535, exposure.Asked)
	require.False(t, exposure.Reachable(), exposure.String())
	require.Contains(t, exposure.Listening, "a tcp/10.42.0.2:7000")
	require.Contains(t, exposure.Listening, "a/backend tcp/10.42.1.1:7000")

	// From the other site, questions arrive and are not answered.
	seen := t.look(t.place(lab, "a/router"), "wan0")
	_, err = t.tryToDial(b, b.Address, on(lab.PublicAddress(uplink), port), 300*time.Millisecond)
	require.Error(t, err)
	from := lab.PublicAddress(t.link(lab, "b/wan0"))
	t.Await("the question arrives", func() bool {
		return seen.any(func(packet sniff.Packet) bool { return packet.Source.Addr() == from && packet.Flags == sniff.FlagSYN })
	})
	require.False(t, seen.any(func(packet sniff.Packet) bool { return packet.Destination.Addr() == from }), "it is answered")

	// Nor does a neighbour on the line who uses the addresses of the LAN.
	internet := t.place(lab, network.Internet)
	require.NoError(t, internet.IP(fmt.Sprintf("route add 10.42.0.0/16 via %s", lab.PublicAddress(uplink))))
	_, err = t.tryToDial(internet, internet.Address, at(a, port), 300*time.Millisecond)
	require.Error(t, err)
	t.Await("the neighbour's question arrives", func() bool {
		return seen.any(func(packet sniff.Packet) bool { return packet.Destination.Addr() == a.Address })
	})
	require.False(t, seen.any(func(packet sniff.Packet) bool { return packet.Source.Addr() == a.Address }), "the neighbour is answered")
}

// seen are the packets at a device.
type seen struct {
	mutex   sync.Mutex
	packets []sniff.Packet
}

func (t *trial) look(place *network.Place, device string) *seen {
	s := &seen{}
	sniffer, err := sniff.Open(place.Namespace, device, func(packet sniff.Packet) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		packet.Payload = slices.Clone(packet.Payload)
		s.packets = append(s.packets, packet)
	})
	require.NoError(t, err)
	t.Later(sniffer.Close)
	return s
}

func (s *seen) any(is func(sniff.Packet) bool) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.ContainsFunc(s.packets, is)
}

func mapping(t *trial, nat network.NAT) {
	lab := t.build(twoSites(nat))
	server, stranger := t.place(lab, "server"), t.place(lab, "stranger")
	first, second := t.udp(server, server.Address, port), t.udp(stranger, stranger.Address, port)
	edge := t.place(lab, "a")
	client := t.udp(edge, edge.Address, port)
	client.send("hello", addressAndPort(server.Address, port))
	_, one := first.receive()
	client.send("hello", addressAndPort(stranger.Address, port))
	_, other := second.receive()
	public := lab.PublicAddress(t.link(lab, "a/wan0"))
	require.Equal(t, []netip.Addr{public, public}, []netip.Addr{one.Addr(), other.Addr()})
	require.Equal(t, nat == network.EndpointIndependent, one.Port() == other.Port(), "%s and %s", one, other)
}

func filtering(t *trial, nat network.NAT) {
	lab := t.build(twoSites(nat))
	server, stranger, edge := t.place(lab, "server"), t.place(lab, "stranger"), t.place(lab, "a")
	friend, foe := t.udp(server, server.Address, port), t.udp(stranger, stranger.Address, otherPort)
	client := t.udp(edge, edge.Address, port)
	client.send("hello", addressAndPort(server.Address, port))
	_, mapped := friend.receive()
	atRouter := t.look(t.place(lab, "a/router"), "wan0")
	foe.send("foe", mapped)
	t.Await("the stranger's packet arrives at the router", func() bool {
		return atRouter.any(func(packet sniff.Packet) bool { return packet.Source.Addr() == stranger.Address })
	})
	friend.send("friend", mapped)
	text, _ := client.receive()
	if nat == network.EndpointIndependent {
		require.Equal(t, "foe", text)
		hairpin(t, lab, client, mapped)
	} else {
		require.Equal(t, "friend", text)
	}
}

// hairpin: within a LAN, hosts reach each other by their public address, and are seen by it.
func hairpin(t *trial, lab *network.Lab, client *endpoint, mapped netip.AddrPort) {
	text, _ := client.receive()
	require.Equal(t, "friend", text)
	neighbour := t.place(lab, "a/backend")
	t.udp(neighbour, neighbour.Address, port).send("neighbour", mapped)
	text, from := client.receive()
	require.Equal(t, "neighbour", text)
	require.Equal(t, mapped.Addr(), from.Addr())
}

func rebinding(t *trial, nat network.NAT) {
	lab := t.build(twoSites(nat))
	server, edge, uplink := t.place(lab, "server"), t.place(lab, "a"), t.link(lab, "a/wan0")
	t.serve(server, port, "server")
	datagrams := t.udp(server, server.Address, port)
	before := t.dial(edge, edge.Address, at(server, port))
	client := t.udp(edge, edge.Address, port)
	client.send("before", addressAndPort(server.Address, port))
	_, old := datagrams.receive()
	address, err := lab.Rebind(uplink)
	require.NoError(t, err)
	require.NotEqual(t, before.from.Addr(), address)
	require.Equal(t, address, lab.PublicAddress(uplink))

	require.Error(t, before.says("anything"), "a connection of the old address goes on")
	require.Equal(t, address, t.dial(edge, edge.Address, at(server, port)).from.Addr())
	client.send("after", addressAndPort(server.Address, port))
	_, now := datagrams.receive()
	require.Equal(t, address, now.Addr())
	// What is sent to the old address is lost: the next to arrive is what is sent to the new one.
	datagrams.send("old", old)
	datagrams.send("new", now)
	text, _ := client.receive()
	require.Equal(t, "new", text)
}

func forgetting(t *trial, nat network.NAT) {
	lab := t.build(twoSites(nat))
	server, edge := t.place(lab, "server"), t.place(lab, "a")
	datagrams, client := t.udp(server, server.Address, port), t.udp(edge, edge.Address, port)
	to := addressAndPort(server.Address, port)
	client.send("before", to)
	_, before := datagrams.receive()
	require.NoError(t, lab.Forget("a"))
	datagrams.send("forgotten", before)
	client.send("after", to)
	_, after := datagrams.receive()
	require.Equal(t, before.Addr(), after.Addr())
	require.Equal(t, nat == network.EndpointIndependent, before.Port() == after.Port(), "%s and %s", before, after)
	datagrams.send("known", after)
	text, _ := client.receive()
	require.Equal(t, "known", text)
}

func idle(t *trial, nat network.NAT) {
	topology := twoSites(nat)
	topology.Sites[0].IdleSeconds = 2
	lab := t.build(topology)
	server, edge, router := t.place(lab, "server"), t.place(lab, "a"), t.place(lab, "a/router")
	t.serve(server, port, "server")
	t.dial(edge, edge.Address, at(server, port))
	known := func() bool {
		tracked, err := router.Tracks("tcp", "ESTABLISHED", "dport=7000")
		require.NoError(t, err)
		return tracked
	}
	require.True(t, known(), "the router does not know the connection at first")
	t.Await("the router forgets the connection", func() bool { return !known() })
}
