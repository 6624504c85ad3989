package edges

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network"
)

// What happens when hubs, lines and control are away.
var failureChecks = []check{
	{"a hub is killed during transfers", hubKilled},
	{"black holes in one of two uplinks", blackHoles},
	{"hubs and the authority are away", away},
	{"an edge is killed", edgeKilled},
	{"an edge starts while all control is cut", restart},
}

func hubKilled(t *trial) {
	const longest = time.Second
	size := choose(t, int64(100_000_000), int64(1_000_000_000))
	o, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	moving := t.transfer(near, far, size)
	killed := 0
	for _, share := range []float64{0.2, 0.6} {
		before := o.carried()
		t.Await("the transfer goes on", func() bool { return moving.moved() >= int64(share*float64(2*size)) })
		after, busiest := o.carried(), 0
		for i := range after {
			if after[i]-before[i] > after[busiest]-before[busiest] {
				busiest = i
			}
		}
		hub := o.hubs[busiest]
		require.Less(t, moving.moved(), 2*size, "the transfer ended before a hub was killed")
		hub.process.Kill()
		killed++
		hub.start()
		t.Await("the edges are linked again", func() bool { return o.isLinked(hub, near) && o.isLinked(hub, far) })
	}
	require.NoError(t, moving.wait())
	t.Figure("%d MB each way over one connection, %d times the hub was killed that carried it: what was sent has arrived, no reset, the longest silence %s",
		size/1_000_000, killed, moving.silence())
	require.Less(t, moving.silence(), longest)
}

// blackHoles: every five seconds one of two uplinks of the near edge takes everything and gives nothing, for a while.
func blackHoles(t *trial) {
	const perSecond, streams, every = 200, 20, 5 * time.Second
	rounds := choose(t, 2, 6)
	o := t.build(network.ThreeEdges())
	o.uplinks = "uplinks: [10.42.0.2, 10.42.0.3]\n"
	edges := o.run()
	near, far := edges[0], edges[1]
	random := rand.New(rand.NewPCG(1, 2))
	talks := t.converse(near, far, streams)
	calls := near.client(256).steady(perSecond, func(i int) string { return at(far, i) })
	for range rounds {
		for _, uplink := range random.Perm(2) {
			begun := time.Now()
			link, err := o.lab.Link(fmt.Sprintf("%s/wan%d", near.name, uplink))
			require.NoError(t, err)
			require.NoError(t, link.Wire.Partition(true))
			time.Sleep(time.Second + time.Duration(random.Int64N(int64(3*time.Second))))
			require.NoError(t, link.Wire.Partition(false))
			time.Sleep(time.Until(begun.Add(every)))
		}
	}
	result := calls.stop()
	talks.stop()
	t.Figure("%d black holes of 1 to 4 s: %s, the slowest took %s; %d of %d streams broke, the slowest of %d answers on them took %s", 2*rounds, result,
		result.slowest.Round(time.Millisecond), talks.broken, streams, talks.lines, talks.slowest.Round(time.Millisecond))
	require.Zero(t, result.failed)
	require.NoError(t, talks.first)
}

// away: each hub in turn, and with the first one the authority.
func away(t *trial) {
	const perSecond = 100
	pause := choose(t, 2*time.Second, 20*time.Second)
	o, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	calls := near.client(64).steady(perSecond, func(i int) string { return at(far, i) })
	for _, hub := range o.hubs {
		hub.process.Kill()
		time.Sleep(pause)
		hub.start()
		t.Await("the edges are linked again", func() bool { return o.isLinked(hub, near) && o.isLinked(hub, far) })
	}
	result := calls.stop()
	t.Figure("each hub, one with the authority, away for %s: %s, the slowest took %s", pause, result, result.slowest.Round(time.Millisecond))
	require.Zero(t, result.failed)
}

// restart of an edge while the authority is away, and while all hubs are.
func restart(t *trial) {
	const most = time.Second
	o, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	o.hubs[0].process.Kill()
	near.process.Kill()
	begun := time.Now()
	near.start()
	near.client(1).await(at(far, 0), far.name)
	toOthers := time.Since(begun)
	o.hubs[1].process.Kill()
	near.process.Kill()
	begun = time.Now()
	near.start()
	near.client(1).await(at(near, 0), near.name)
	alone := time.Since(begun)
	t.Figure("without the authority it serves services of others after %s, without any hub its own after %s",
		toOthers.Round(time.Millisecond), alone.Round(time.Millisecond))
	require.LessOrEqual(t, max(toOthers, alone), most)
}

// edgeKilled: one of two edges that have a service goes away without a word. Calls are tried again at the other one.
func edgeKilled(t *trial) {
	const perSecond, longest = 200, 5 * time.Second
	_, edges := t.threeEdges()
	near, dying, other := edges[0], edges[1], edges[2]
	near.write("routes.yaml", anyEdgeYAML)
	path := func(i int) string { return fmt.Sprint("/", i) }
	c := near.client(1)
	t.Await("both edges answer alone", func() bool {
		names := c.repeat(20, 1, path).names
		return names[dying.name] > 0 && names[other.name] > 0 && names[near.name] == 0
	})
	calls := near.client(256).steady(perSecond, path)
	t.Await("calls are answered", func() bool { return !calls.lastAnswer().IsZero() })
	begun := time.Now()
	dying.process.Kill()
	t.Await("the other edge answers alone", func() bool {
		names := c.repeat(20, 1, path).names
		return names[other.name] == 20
	})
	alone := time.Since(begun)
	result := calls.stop()
	t.Figure("%s, the slowest took %s; the other edge answered alone after %s", result, result.slowest.Round(time.Millisecond), alone.Round(time.Millisecond))
	require.Zero(t, result.failed)
	require.LessOrEqual(t, result.slowest, longest)
}
