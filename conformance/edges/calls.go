package edges

import (
	"fmt"
	"math"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network"
)

// Of three sites with the same addresses.
var callChecks = []check{
	{"no call is answered by the wrong edge", wrongEdge},
	{"weights", weights},
}

// threeEdges run on two hubs.
func (t *trial) threeEdges() (*overlay, []*edge) {
	o := t.build(network.ThreeEdges())
	return o, o.run()
}

// run an edge at each of three sites, with a share of all calls for each, and wait until each reaches all services.
func (o *overlay) run() []*edge {
	edges := o.addAll()
	for i, e := range edges {
		shares := []share{{edges[i].name, 70}, {edges[(i+1)%3].name, 20}, {edges[(i+2)%3].name, 10}}
		e.write("routes.yaml", routesYAML(e.name, shares, edges[(i+1)%3].name))
		e.start()
	}
	for _, e := range edges {
		c := e.client(1)
		for _, other := range edges {
			c.await(at(other, 0), other.name)
		}
	}
	return edges
}

// at is what one edge is asked for; the number tells calls apart.
func at(e *edge, number int) string { return fmt.Sprintf("/at/%s/%d", e.name, number) }

func wrongEdge(t *trial) {
	const calls = 10_000
	_, edges := t.threeEdges()
	wrong, begun := 0, time.Now()
	for _, from := range edges {
		c := from.client(8)
		for _, to := range edges {
			result := c.repeat(calls/9+1, 8, func(i int) string { return at(to, i) })
			require.Zero(t, result.failed, result)
			wrong += result.calls - result.names[to.name]
		}
	}
	t.Figure("%d of %d calls from %d edges to each other, %.0f a second", wrong, 9*(calls/9+1), len(edges), calls/time.Since(begun).Seconds())
	require.Zero(t, wrong)
}

func weights(t *trial) {
	const calls, toleratedPoints = 10_000, 2
	_, edges := t.threeEdges()
	result := edges[0].client(8).repeat(calls, 8, func(i int) string { return fmt.Sprint("/", i) })
	require.Zero(t, result.failed, result)
	for i, want := range []float64{70, 20, 10} {
		got := 100 * float64(result.names[edges[i].name]) / calls
		t.Figure("%s has a weight of %.0f %% and got %.2f %% of %d calls", edges[i].name, want, got, calls)
		require.LessOrEqual(t, math.Abs(got-want), float64(toleratedPoints))
	}
}
