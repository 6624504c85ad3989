package checks

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os/exec"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network"
	"selvedge.dev/conformance/network/namespace"
	"selvedge.dev/conformance/network/sniff"
	"selvedge.dev/conformance/network/wire"
)

var siteChecks = []check{
	{"a scan finds what is open", scanFinds},
	{"an uplink is chosen by address, and the other lives when it is cut", uplinks},
	{"a connection outlives a partition", partition},
	{"a rate limits TCP", rateOfTCP},
	{"a search finds what is in clear", search},
	{"processes", processes},
	{"processes end with the lab", closing},
	{"a namespace that is there", existingNamespace},
	{"a lab is changed from outside", controlled},
	{"three edges", threeEdges},
}

// oneSite has one uplink over a wire.
func oneSite(up wire.Conditions) *network.Topology {
	return &network.Topology{
		Name:  "check",
		Hosts: []network.PublicHost{{Name: "server"}},
		Sites: []network.Site{{Name: "a", Uplinks: []network.Uplink{{NAT: network.Symmetric, Wire: &network.Wire{Up: up}}}}},
	}
}

func scanFinds(t *trial) {
	topology := twoSites(network.Symmetric)
	topology.Sites[0].Uplinks[0].Forward = []uint16{port}
	lab := t.build(topology)
	a, b := t.place(lab, "a"), t.place(lab, "b")
	t.serve(a, port, "a")
	t.serve(a, otherPort, "not forwarded")
	t.udp(a, a.Address, port)
	exposure, err := lab.Scan(t.link(lab, "a/wan0"))
	require.NoError(t, err)
	require.Equal(t, []string{"tcp/7000"}, exposure.Answered)
	require.Equal(t, []string{"tcp/7000", "udp/7000"}, exposure.Entered)
	// One site that can be reached is enough for two to meet.
	client := t.dial(b, b.Address, on(lab.PublicAddress(t.link(lab, "a/wan0")), port))
	require.Equal(t, "a", client.server)
	require.Equal(t, lab.PublicAddress(t.link(lab, "b/wan0")), client.from.Addr())
}

func uplinks(t *trial) {
	lab := t.build(network.ThreeEdges())
	hub, edge := t.place(lab, "hub-1"), t.place(lab, "a")
	t.serve(hub, port, "hub")
	for _, name := range []string{"a/wan0", "a/wan1"} {
		uplink := t.link(lab, name)
		client := t.dial(edge, lab.LocalAddress(uplink), at(hub, port))
		require.Equal(t, lab.PublicAddress(uplink), client.from.Addr())
	}
	cut := t.link(lab, "a/wan0")
	require.NoError(t, cut.Wire.Partition(true))
	_, err := t.tryToDial(edge, lab.LocalAddress(cut), at(hub, port), 300*time.Millisecond)
	require.Error(t, err)
	require.Positive(t, cut.Wire.Counters(wire.Up).Cut)
	t.dial(edge, lab.LocalAddress(t.link(lab, "a/wan1")), at(hub, port))
	require.NoError(t, cut.Wire.Partition(false))
	t.dial(edge, lab.LocalAddress(cut), at(hub, port))
}

func partition(t *trial) {
	const way = 200 * time.Millisecond
	lab := t.build(oneSite(wire.Conditions{Delay: way}))
	server, edge, uplink := t.place(lab, "server"), t.place(lab, "a"), t.link(lab, "a/wan0")
	t.serve(server, port, "server")
	client, datagrams := t.dial(edge, edge.Address, at(server, port)), t.udp(server, server.Address, port)
	sender := t.udp(edge, edge.Address, port)
	require.NoError(t, client.says("before"))

	// What is on the way is cut, too: as long as it takes, that are all of these.
	ahead := uplink.Wire.Counters(wire.Up).Sent
	for range 10 {
		sender.send("cut", addressAndPort(server.Address, port))
	}
	require.NoError(t, uplink.Wire.Partition(true))
	before := uplink.Wire.Counters(wire.Up)
	done := make(chan error, 1)
	go func() { done <- client.says("during") }()
	t.Await("something is cut", func() bool { return uplink.Wire.Counters(wire.Up).Cut > before.Cut })
	require.Equal(t, before.Sent, uplink.Wire.Counters(wire.Up).Sent, "something gets through")

	require.NoError(t, uplink.Wire.Partition(false))
	require.NoError(t, <-done, "the connection does not go on")
	require.Equal(t, way, uplink.Wire.Conditions(wire.Up).Delay, "repaired, a wire is as it was")
	sender.send("whole", addressAndPort(server.Address, port))
	arrived := int64(0)
	for text, _ := datagrams.receive(); text != "whole"; text, _ = datagrams.receive() {
		arrived++
	}
	require.LessOrEqual(t, arrived, before.Sent-ahead, "what was on the way has arrived")
}

// transfer sends bytes to a listener and returns how long it took until all of them were there.
func (t *trial) transfer(from *network.Place, listener net.Listener, size int) time.Duration {
	data := make([]byte, size)
	_, _ = rand.Read(data)
	started := time.Now()
	connection, err := from.Dial(&net.Dialer{Timeout: limit}, listener.Addr().String())
	require.NoError(t, err)
	receiver, err := listener.Accept()
	require.NoError(t, err)
	defer func() { _ = receiver.Close() }()
	written := make(chan error, 1)
	go func() {
		_, err := connection.Write(data)
		written <- errors.Join(err, connection.Close())
	}()
	arrived, err := io.ReadAll(receiver)
	took := time.Since(started)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.True(t, bytes.Equal(data, arrived), "what arrived is not what was sent")
	return took
}

func rateOfTCP(t *trial) {
	const size, rate = 1_500_000, 20_000_000
	lab := t.build(oneSite(wire.Conditions{Rate: rate, Delay: 5 * time.Millisecond}))
	server, edge := t.place(lab, "server"), t.place(lab, "a")
	listener, err := server.Listen(at(server, port))
	require.NoError(t, err)
	t.Later(listener.Close)
	took := t.transfer(edge, listener, size)
	reached := size * 8 / took.Seconds()
	t.Figure("%.1f Mbit/s of data at a rate of %.0f Mbit/s", reached/1e6, float64(rate)/1e6)
	// How close TCP gets is its own affair; more than the line carries it cannot.
	require.Less(t, reached, rate*1.01)
	require.Greater(t, reached, rate/4.0)
	require.LessOrEqual(t, packetSize(t.link(lab, "a/wan0").Wire.Counters(wire.Up)), 1500.0, "packets do not come one by one")
}

func search(t *trial) {
	lab := t.build(twoSites(network.Symmetric))
	server, edge := t.place(lab, "server"), t.place(lab, "a")
	t.serve(server, port, "server")
	search, err := sniff.SearchFor(server.Namespace, server.Device, "in clear", "not there")
	require.NoError(t, err)
	require.NoError(t, t.dial(edge, edge.Address, at(server, port)).says("what is in clear"))
	found, packets, err := search.Close()
	require.NoError(t, err)
	require.Equal(t, map[string]int{"in clear": 2, "not there": 0}, found, "of %d packets", packets)
}

func processes(t *trial) {
	lab := t.build(twoSites(network.Symmetric))
	command := func() *exec.Cmd { return exec.Command("sh", "-c", "ip -o -4 addr show; echo ready; exec sleep 1000") }
	process, err := lab.Start("a/backend", "sleeper", command())
	require.NoError(t, err)
	t.Await("the process writes", func() bool { return bytes.Contains([]byte(read(lab.LogFile("sleeper"))), []byte("ready")) })
	require.Contains(t, read(lab.LogFile("sleeper")), "10.42.1.1/16")
	_, err = lab.Start("a", "sleeper", command())
	require.ErrorContains(t, err, "runs already")
	_, err = lab.Start("nowhere", "other", command())
	require.ErrorContains(t, err, "nowhere")
	require.Equal(t, []string{"sleeper"}, lab.Processes())
	process.Kill()
	require.Empty(t, lab.Processes())
	_, err = lab.Start("a", "sleeper", command())
	require.NoError(t, err)
	again, err := lab.Process("sleeper")
	require.NoError(t, err)
	again.Stop()
	require.False(t, again.Runs())
}

func closing(t *trial) {
	lab, err := network.Build(oneSite(wire.Conditions{}), t.Directory)
	require.NoError(t, err)
	process, err := lab.Start("a", "sleeper", exec.Command("sleep", "1000"))
	require.NoError(t, err)
	require.NoError(t, lab.Close())
	require.False(t, process.Runs(), "a process outlives its lab")
}

func existingNamespace(t *trial) {
	there, err := namespace.New("there")
	require.NoError(t, err)
	t.Later(there.Close)
	topology := twoSites(network.Symmetric)
	topology.Sites[1].Hosts = append(topology.Sites[1].Hosts, network.LANHost{Name: "guest", Namespace: there.Path()})
	lab := t.build(topology)
	guest, server := t.place(lab, "b/guest"), t.place(lab, "server")
	t.serve(server, port, "server")
	require.Equal(t, lab.PublicAddress(t.link(lab, "b/wan0")), t.dial(guest, guest.Address, at(server, port)).from.Addr())
}

// threeEdges is the example: every edge reaches both hubs by both uplinks, and nothing can be reached.
func threeEdges(t *trial) {
	started := time.Now()
	lab := t.build(network.ThreeEdges())
	t.Figure("built in %s", time.Since(started).Round(time.Millisecond))
	for _, hub := range []string{"hub-1", "hub-2"} {
		t.serve(t.place(lab, hub), port, hub)
	}
	for _, site := range []string{"a", "b", "c"} {
		edge := t.place(lab, site)
		t.serve(edge, port, site)
		for _, name := range []string{site + "/wan0", site + "/wan1"} {
			uplink := t.link(lab, name)
			for _, hub := range []string{"hub-1", "hub-2"} {
				client := t.dial(edge, lab.LocalAddress(uplink), at(t.place(lab, hub), port))
				require.Equal(t, hub, client.server)
				require.Equal(t, lab.PublicAddress(uplink), client.from.Addr())
			}
		}
	}
	for _, name := range []string{"a/wan0", "c/wan1"} {
		exposure, err := lab.Scan(t.link(lab, name))
		require.NoError(t, err)
		require.False(t, exposure.Reachable(), "%s: %s", name, exposure)
	}
}
