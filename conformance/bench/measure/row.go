// Package measure runs rows: the same work through one proxy after another, in rounds.
package measure

import (
	"fmt"
	"slices"
	"strings"

	"selvedge.dev/conformance/bench/machine"
)

// Layout says which program runs on which core.
type Layout struct {
	Name, Title string
	// Proxy and Load are cores; the backend shares the load generator's.
	Proxy, Load int
	// Workers of the proxy, and threads of the load generator if it has any.
	Workers int
}

var (
	// TwoCores gives the proxy a core of its own.
	TwoCores = &Layout{Name: "two", Title: "two cores", Proxy: 1, Load: 0, Workers: 1}
	// OneCore has no wake-up of a sleeping core in it, which in a virtual machine costs more than the
	// work itself, and so repeats best.
	OneCore = &Layout{Name: "one", Title: "one core", Proxy: 1, Load: 1, Workers: 1}
	// TwoWorkers lets everything run on both cores, the load generator and the backend too.
	TwoWorkers = &Layout{Name: "workers", Title: "two workers on two shared cores", Proxy: machine.AnyCore, Load: machine.AnyCore, Workers: 2}
)

var layouts = []*Layout{OneCore, TwoCores, TwoWorkers}

// The generators that are programs of their own.
const (
	wrk    = "wrk"
	h2load = "h2load"
)

// constantRate is the generator of rows at a constant rate.
const constantRate = "constant-rate"

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
	// streams at a time on each connection, and body of a response, where h2load is the generator.
	streams, body int
	// grpc makes a request a call with a message of 100 bytes.
	grpc bool
	// secureBackend says that the backend that wants a certificate must run.
	secureBackend bool
	// share of the rate that nginx reaches in the saturated row is what a row at a constant rate offers.
	share     float64
	saturated string
	// directPort and directPath lead to the backend itself, for the row without a proxy.
	directPort int
	directPath string
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

// Work is a row in a layout.
type Work struct {
	*Row
	Layout *Layout
	// Rate is how many requests a second are offered, for a row at a constant rate.
	Rate int
}

// ConstantRate says that the row's requests are sent at a rate, so that their times can be compared.
func (r *Row) ConstantRate() bool { return r.generator == constantRate }

// Select resolves what the user asked for: ROW or ROW@LAYOUT, or everything if nothing.
func Select(names []string) ([]Work, error) {
	var selected []Work
	for _, row := range Rows {
		chosen := row.Layouts
		if len(names) > 0 {
			chosen = chosenLayouts(row, names)
		}
		for _, layout := range chosen {
			selected = append(selected, Work{Row: row, Layout: layout})
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(selected, func(w Work) bool { return name == w.Name || name == w.Name+"@"+w.Layout.Name }) {
			return nil, fmt.Errorf("no row %q: there are %s, each also as ROW@one, ROW@two and ROW@workers", name, strings.Join(RowNames(), ", "))
		}
	}
	return selected, nil
}

func chosenLayouts(row *Row, names []string) []*Layout {
	if slices.Contains(names, row.Name) {
		return row.Layouts
	}
	return slices.DeleteFunc(slices.Clone(layouts), func(layout *Layout) bool {
		return !slices.Contains(names, row.Name+"@"+layout.Name)
	})
}

// RowNames lists the rows.
func RowNames() []string {
	var names []string
	for _, row := range Rows {
		names = append(names, row.Name)
	}
	return names
}
