// Package measure runs rows: the same work through one proxy after another, in rounds.
package measure

import (
	"fmt"
	"slices"
	"strings"

	"selvedge.dev/conformance/bench/peer"
)

// Layout says which program runs on which core.
type Layout struct {
	Name, Title string
	// Proxy and Load are cores; the backend shares the load generator's.
	Proxy, Load int
}

var (
	// TwoCores gives the proxy a core of its own.
	TwoCores = &Layout{Name: "two", Title: "two cores", Proxy: 1, Load: 0}
	// OneCore has no wake-up of a sleeping core in it, which in a virtual machine costs more than the
	// work itself, and so repeats best.
	OneCore = &Layout{Name: "one", Title: "one core", Proxy: 1, Load: 1}
)

// wrk is the generator that is a program of its own.
const wrk = "wrk"

// Row is one kind of work.
type Row struct {
	Name, Title string
	// Layouts in which the row is measured when none is asked for.
	Layouts []*Layout
	// Unit is what is counted.
	Unit Unit
	// TCP rows leave out the peers that differ only in HTTP.
	TCP bool
	// Goal is the cost that the project aims at, in words; empty where there is none.
	Goal string

	generator   string
	port        int
	path        string
	tls         bool
	connections int
	// bytes is the size of a unit of which the generator counts bytes.
	bytes float64
}

// Unit is how cost and rate of a row are written.
type Unit struct {
	// Cost is the unit of the cost, and Factor how many microseconds it has.
	Cost   string
	Factor float64
	Rate   string
}

var (
	perRequest    = Unit{"us per request", 1, "requests/s"}
	perConnection = Unit{"us per connection", 1, "connections/s"}
	perGigabit    = Unit{"ms per Gbit", 1000, "Gbit/s"}
	perTrip       = Unit{"us per round trip", 1, "round trips/s"}
)

// gigabit in bytes.
const gigabit = 1e9 / 8

var both = []*Layout{OneCore, TwoCores}

// Rows are all rows in the order of the report.
var Rows = []*Row{
	{Name: "h1-1k-64", Title: "HTTP/1, 1 KB, 64 connections", Layouts: both, Unit: perRequest,
		Goal: "<= 0.95x nginx and <= 0.25x Envoy", generator: wrk, port: peer.HTTP, path: "/1k", connections: 64},
	{Name: "h1-1k-512", Title: "HTTP/1, 1 KB, 512 connections", Layouts: []*Layout{OneCore}, Unit: perRequest,
		Goal: "<= 0.75x nginx", generator: wrk, port: peer.HTTP, path: "/1k", connections: 512},
	{Name: "h1-empty", Title: "HTTP/1, empty body, 64 connections", Layouts: []*Layout{OneCore}, Unit: perRequest,
		generator: wrk, port: peer.HTTP, path: "/0", connections: 64},
	{Name: "h1-64k", Title: "HTTP/1, 64 KB, 64 connections", Layouts: []*Layout{OneCore}, Unit: perRequest,
		generator: wrk, port: peer.HTTP, path: "/64k", connections: 64},
	{Name: "tls-1k", Title: "HTTP/1 over TLS, 1 KB, 64 connections", Layouts: both, Unit: perRequest,
		Goal: "<= 0.9x nginx", generator: wrk, port: peer.HTTPS, path: "/1k", tls: true, connections: 64},
	{Name: "handshake", Title: "Full TLS 1.3 handshake (P-256), one request, close; 16 at a time", Layouts: both, Unit: perConnection,
		Goal: "<= 0.5x HAProxy", generator: "handshakes", port: peer.HTTPS, path: "/1k", connections: 16},
	{Name: "http-connection", Title: "New HTTP connection, one request, close; 32 at a time", Layouts: []*Layout{OneCore}, Unit: perConnection,
		Goal: "<= 0.95x nginx", generator: "connections", port: peer.HTTP, path: "/1k", connections: 32},
	{Name: "tcp-connection", Title: "New TCP connection on both sides, one exchange, close; 32 at a time", Layouts: []*Layout{OneCore}, Unit: perConnection, TCP: true,
		Goal: "<= 0.95x HAProxy", generator: "connections", port: peer.TCPHTTP, path: "/1k", connections: 32},
	{Name: "bulk-up", Title: "Bulk TCP to the backend, 4 connections", Layouts: both, Unit: perGigabit, TCP: true,
		Goal: "<= 0.7x the best peer", generator: "upload", port: peer.TCPSink, connections: 4, bytes: gigabit},
	{Name: "bulk-down", Title: "Bulk TCP from the backend, 4 connections", Layouts: both, Unit: perGigabit, TCP: true,
		Goal: "<= 0.7x the best peer", generator: "download", port: peer.TCPSource, connections: 4, bytes: gigabit},
	{Name: "round-trip", Title: "Round trip of 1 byte over TCP, 1 connection", Layouts: []*Layout{OneCore}, Unit: perTrip, TCP: true,
		generator: "round-trips", port: peer.TCPEcho, connections: 1},
}

// Work is a row in a layout.
type Work struct {
	*Row
	Layout *Layout
}

// Select resolves what the user asked for: ROW or ROW@LAYOUT, or everything if nothing.
func Select(names []string) ([]Work, error) {
	var selected []Work
	for _, row := range Rows {
		layouts := row.Layouts
		if len(names) > 0 {
			layouts = chosenLayouts(row, names)
		}
		for _, layout := range layouts {
			selected = append(selected, Work{row, layout})
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(selected, func(w Work) bool { return name == w.Name || name == w.Name+"@"+w.Layout.Name }) {
			return nil, fmt.Errorf("no row %q: there are %s, each also as ROW@one and ROW@two", name, strings.Join(RowNames(), ", "))
		}
	}
	return selected, nil
}

func chosenLayouts(row *Row, names []string) []*Layout {
	if slices.Contains(names, row.Name) {
		return row.Layouts
	}
	var layouts []*Layout
	for _, layout := range both {
		if slices.Contains(names, row.Name+"@"+layout.Name) {
			layouts = append(layouts, layout)
		}
	}
	return layouts
}

// RowNames lists the rows.
func RowNames() []string {
	var names []string
	for _, row := range Rows {
		names = append(names, row.Name)
	}
	return names
}
