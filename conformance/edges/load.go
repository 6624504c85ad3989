package edges

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/network"
)

// What edges and hubs cost, and how much they carry.
var loadChecks = []check{
	{"an idle edge with a thousand imports", thousandImports},
	{"new connections through two edges", connectionRate},
	{"many streams beside one", parallelStreams},
	{"slow readers leave others alone", slowReaders},
	{"CPU time of a request beside Envoy", costOfRequest},
}

// plainSites are two, with nothing but the kernel between them and the hub: a wire of the lab would be what is measured.
func plainSites() *network.Topology {
	site := func(name string) network.Site {
		return network.Site{Name: name, Hosts: []network.LANHost{{Name: "backend"}}, Uplinks: []network.Uplink{{NAT: network.Symmetric}}}
	}
	return &network.Topology{Name: "edges", Hosts: []network.PublicHost{{Name: "hub-1"}}, Sites: []network.Site{site("a"), site("b")}}
}

func thousandImports(t *trial) {
	// The goal is 50 MB, which the profile of CI is at the edge of; what is beyond this has grown.
	const imports, mostMemory, mostShare = 1000, 55_000, 0.01
	o := t.build(plainSites())
	edges := o.addAll()
	near, far := edges[0], edges[1]
	near.write("routes.yaml", routesYAML(near.name, []share{{near.name, 50}, {far.name, 50}}, far.name))
	var all strings.Builder
	for i := range imports - 1 {
		one := ratings(firstBackend)
		one.name, one.onlyHTTP = fmt.Sprint("service-", i), true
		fmt.Fprintf(&all, "%s---\n", one.yaml())
	}
	far.write("services.yaml", all.String()+ratings(firstBackend).yaml())
	near.start()
	far.start()
	near.client(1).await(at(far, 0), far.name)
	t.Await("all are imported", func() bool {
		return bytes.Count(near.imports(), []byte(`"kind": "ServiceEntry"`)) == imports
	})
	// The folder is read once more when its times have settled.
	time.Sleep(5 * time.Second)
	elapsed := choose(t, 10*time.Second, time.Minute)
	used := o.cpu(func() { time.Sleep(elapsed) }, near.process, far.process, o.hubs[0].process)
	memory, err := machine.ProcessMemory(near.process.PID())
	require.NoError(t, err)
	of := func(i int) float64 { return used[i].Seconds() / elapsed.Seconds() }
	t.Figure("%d imports: %.1f MB, %.2f %% of a core; the edge that offers them %.2f %%, the hub %.2f %%",
		imports, float64(memory.RSS)/1000, 100*of(0), 100*of(1), 100*of(2))
	require.LessOrEqual(t, memory.RSS, int64(mostMemory))
	require.LessOrEqual(t, of(0), mostShare)
}

// cpu is what processes use while something is done.
func (t *trial) cpu(do func(), processes ...*machine.Process) []time.Duration {
	now := func() (all []time.Duration) {
		for _, process := range processes {
			used, err := machine.ProcessTime(process.PID())
			require.NoError(t, err)
			all = append(all, used)
		}
		return all
	}
	before := now()
	do()
	after := now()
	for i := range after {
		after[i] -= before[i]
	}
	return after
}

// pair are two edges on one hub, without wires.
func (t *trial) pair() (o *overlay, near, far *edge) {
	o = t.build(plainSites())
	edges := o.addAll()
	for i, e := range edges {
		other := edges[1-i]
		e.write("routes.yaml", routesYAML(e.name, []share{{e.name, 50}, {other.name, 50}}, other.name))
		e.start()
	}
	for i, e := range edges {
		e.client(1).await(at(edges[1-i], 0), edges[1-i].name)
	}
	return o, edges[0], edges[1]
}

// inTurns calls each of the functions with the time that it has, again and again, and gives the sums of what they return. Turns are short: what else the
// machine does changes more slowly.
func (t *trial) inTurns(functions ...func(time.Duration) float64) []float64 {
	const turn = 500 * time.Millisecond
	sums := make([]float64, len(functions))
	for range choose(t, 10, 40) {
		for i, one := range functions {
			sums[i] += one(turn)
		}
	}
	return sums
}

// connectionRate compares connections of TCP, each with a byte there and back, from a client by its own edge to a backend of another, with those from a
// client of that other site by the one edge there.
func connectionRate(t *trial) {
	const atOnce, least = 16, 0.3
	o, near, far := t.pair()
	far.serveStreams(func(connection *net.TCPConn) {
		defer func() { _ = connection.Close() }()
		one := make([]byte, 1)
		if _, err := connection.Read(one); err == nil {
			_, _ = connection.Write(one)
		}
	})
	var failed atomic.Int64
	rate := func(from *edge, port int) func(time.Duration) float64 {
		return func(turn time.Duration) float64 {
			var made atomic.Int64
			o.neighbourly(from, atOnce, turn, func() {
				if exchangeByte(from, port) == nil {
					made.Add(1)
				} else {
					failed.Add(1)
				}
			})
			return float64(made.Load())
		}
	}
	sums := t.inTurns(rate(near, streamPort), rate(far, ownStreamPort))
	t.Figure("%.2f of the connections that one edge makes (%.0f beside %.0f, %d at a time), %d failed", sums[0]/sums[1], sums[0], sums[1], atOnce, failed.Load())
	require.Zero(t, failed.Load())
	require.GreaterOrEqual(t, sums[0]/sums[1], least)
}

// neighbourly does something again and again for a time, so many at once, on threads in the namespace of the edge's neighbour.
func (o *overlay) neighbourly(e *edge, atOnce int, turn time.Duration, do func()) {
	var group sync.WaitGroup
	end := time.Now().Add(turn)
	for range atOnce {
		group.Go(func() {
			err := e.neighbour.Do(func() error {
				for time.Now().Before(end) {
					do()
				}
				return nil
			})
			if err != nil {
				o.Errorf("%v", err)
			}
		})
	}
	group.Wait()
}

// exchangeByte is done on a thread in the right namespace.
func exchangeByte(e *edge, port int) error {
	connection, err := net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", e.place.Address, port), patience)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	one := []byte{'x'}
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := connection.Write(one); err != nil {
		return err
	}
	if length, err := connection.Read(one); length != 1 {
		return errors.Join(errors.New("no byte came back"), err)
	}
	return nil
}
