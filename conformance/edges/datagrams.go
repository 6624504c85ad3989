package edges

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network/sniff"
)

// A UDP service of two edges, and clients of a third.
var datagramChecks = []check{
	{"datagrams to a UDP service of other edges", datagrams},
	{"a flood of datagrams", flood},
}

const (
	// echoPort is where the backend of the service listens, takenPort where the near edge serves it.
	echoPort  = 9600
	takenPort = 5353
	echoHost  = "echo.shop.global"
)

const echoYAML = `apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop, labels: {offered: "yes"}}
spec: {ports: [{name: echo, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: echo-1, namespace: shop, labels: {kubernetes.io/service-name: echo}}
addressType: IPv4
endpoints: [{addresses: [10.42.1.1], conditions: {ready: true}}]
ports: [{name: echo, port: 9600, protocol: UDP}]
`

// echo offers the service, which sends back what comes, the letter of the edge in place of the first byte.
func (e *edge) echo() {
	socket, err := e.neighbour.ListenUDP(fmt.Sprintf("%s:%d", e.neighbour.Address, echoPort))
	require.NoError(e.overlay, err)
	e.overlay.Later(socket.Close)
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			length, client, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			buffer[0] = e.name[0]
			_, _ = socket.WriteToUDPAddrPort(buffer[:length], client)
		}
	}()
	e.write("echo.yaml", echoYAML)
}

// takeEcho has the edge, which runs, serve the service of others.
func (e *edge) takeEcho() {
	e.process.Kill()
	config := fmt.Sprintf("%sdatagrams: [{host: %s, port: 53, listen: '%s:%d'}]\n", offersAndTakes, echoHost, e.place.Address, takenPort)
	require.NoError(e.overlay, os.WriteFile(filepath.Join(e.state(), "edge.yaml"), []byte(config), 0o644))
	e.start()
}

// caller of the service, at one port in the LAN of an edge.
type caller struct {
	*net.UDPConn
	edge *edge
	to   *net.UDPAddr
}

func (e *edge) caller() *caller {
	connection, err := e.neighbour.ListenUDP(fmt.Sprintf("%s:0", e.neighbour.Address))
	require.NoError(e.overlay, err)
	e.overlay.Later(connection.Close)
	to, err := net.ResolveUDPAddr("udp4", fmt.Sprintf("%s:%d", e.place.Address, takenPort))
	require.NoError(e.overlay, err)
	return &caller{connection, e, to}
}

// ask gives who has answered, 0 if nobody has within a second; the answer must be what was asked.
func (c *caller) ask(datagram []byte) byte {
	_, err := c.WriteTo(datagram, c.to)
	require.NoError(c.edge.overlay, err)
	require.NoError(c.edge.overlay, c.SetReadDeadline(time.Now().Add(time.Second)))
	answer := make([]byte, 1<<16)
	for {
		length, _, err := c.ReadFrom(answer)
		if err != nil {
			return 0
		}
		// One that is late is not the answer.
		if length == len(datagram) && bytes.Equal(answer[1:length], datagram[1:]) {
			return answer[0]
		}
	}
}

// until asks until somebody answers who is wanted.
func (c *caller) until(what string, wanted func(byte) bool) (by byte) {
	number := 0
	c.edge.overlay.Await(what, func() bool {
		number++
		by = c.ask(fmt.Appendf(nil, "?%d", number))
		return by != 0 && wanted(by)
	})
	return by
}

func anybody(byte) bool { return true }

// withEcho is three edges; the first takes what the others offer.
func (t *trial) withEcho() (*overlay, []*edge) {
	o, edges := t.threeEdges()
	for _, e := range edges[1:] {
		e.echo()
	}
	edges[0].takeEcho()
	return o, edges
}

func datagrams(t *trial) {
	// Whoever is busy may lose some.
	const most, mostUnanswered = 6 * time.Second, 0.01
	asked := choose(t, 1_000, 10_000)
	o, edges := t.withEcho()
	near := edges[0]
	c := near.caller()
	first := c.until("an answer", anybody)
	var inHubs []*sniff.Search
	for _, hub := range o.hubs {
		search, err := sniff.SearchFor(hub.place.Namespace, hub.place.Device, requestMarker)
		require.NoError(t, err)
		inHubs = append(inHubs, search)
	}
	inLAN, err := sniff.SearchFor(near.neighbour.Namespace, near.neighbour.Device, requestMarker)
	require.NoError(t, err)
	unanswered, times := 0, []time.Duration{}
	for i := range asked {
		begun := time.Now()
		switch by := c.ask(fmt.Appendf(nil, "?%s%d", requestMarker, i)); by {
		case 0:
			unanswered++
		default:
			times = append(times, time.Since(begun))
			require.Equal(t, first, by, "the flow has moved")
		}
	}
	var largest []string
	for _, size := range []int{1, 1_200, 9_000, 65_507} {
		datagram := bytes.Repeat([]byte{'x'}, size)
		t.Await(fmt.Sprintf("an answer of %d bytes", size), func() bool { return c.ask(datagram) == first })
		largest = append(largest, fmt.Sprint(size))
	}
	said, _, err := inLAN.Close()
	require.NoError(t, err)
	require.GreaterOrEqual(t, said[requestMarker], asked, "the search does not find what is said where it is")
	seen := 0
	for _, search := range inHubs {
		found, _, err := search.Close()
		require.NoError(t, err)
		seen += found[requestMarker]
	}
	slices.Sort(times)
	t.Figure("%d of %d datagrams were not answered, half of the others within %s, the slowest within %s; %s bytes pass; %d of them in packets of the hubs", unanswered,
		asked, times[len(times)/2].Round(10*time.Microsecond), times[len(times)-1].Round(10*time.Microsecond), strings.Join(largest, ", "), seen)
	require.LessOrEqual(t, float64(unanswered), mostUnanswered*float64(asked))
	require.Zero(t, seen)

	for _, e := range edges[1:] {
		if e.name[0] == first {
			e.process.Kill()
		}
	}
	begun := time.Now()
	c.until("an answer of the other edge", func(by byte) bool { return by != first })
	t.Figure("the edge was killed: the other one answered after %s", time.Since(begun).Round(time.Millisecond))
	require.LessOrEqual(t, time.Since(begun), most)
}

// flood of one client for some seconds, while calls are made and another client asks.
func flood(t *trial) {
	const perSecond = 100
	lasts := choose(t, 3*time.Second, 20*time.Second)
	_, edges := t.withEcho()
	near, far := edges[0], edges[1]
	near.client(1).await(at(far, 0), far.name)
	c := near.caller()
	c.until("an answer", anybody)
	calls := near.client(256).steady(perSecond, func(i int) string { return at(far, i) })
	flooding := near.caller()
	sent, begun, datagram := 0, time.Now(), bytes.Repeat([]byte{'x'}, 1_200)
	for time.Since(begun) < lasts {
		if _, err := flooding.WriteTo(datagram, flooding.to); err == nil {
			sent++
		}
	}
	result := calls.stop()
	c.until("an answer after the flood", anybody)
	t.Figure("%d datagrams of 1,200 bytes in %s: %s, the slowest took %s", sent, lasts, result, result.slowest.Round(time.Millisecond))
	require.Zero(t, result.failed)
}
