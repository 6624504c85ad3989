package edges

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"
)

// What happens when services and their endpoints change.
var changeChecks = []check{
	{"a service that is offered can be called, and not any more when it is taken back", offering},
	{"endpoints come and go", endpoints},
}

// mostChange is how long a change at one edge may take to the calls of another.
const mostChange = 2 * time.Second

func offering(t *trial) {
	_, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	c, path := near.client(1), at(far, 0)
	var slowestOffer, slowestEnd time.Duration
	const rounds = 5
	kept := ratings(firstBackend)
	kept.kept = true
	for range rounds {
		begun := time.Now()
		far.write("services.yaml", kept.yaml())
		t.Await("the service is gone", func() bool { _, err := c.ask(path); return err != nil })
		slowestEnd = max(slowestEnd, time.Since(begun))
		begun = time.Now()
		far.write("services.yaml", ratings(firstBackend).yaml())
		t.Await("the service is there", func() bool { _, err := c.ask(path); return err == nil })
		slowestOffer = max(slowestOffer, time.Since(begun))
	}
	t.Figure("offered, it could be called after %s; taken back, it could not after %s: the slowest of %d",
		slowestOffer.Round(time.Millisecond), slowestEnd.Round(time.Millisecond), rounds)
	require.LessOrEqual(t, slowestOffer, mostChange)
	require.LessOrEqual(t, slowestEnd, mostChange)
}

// endpoints of a service at the far edge become five and one again, under the calls of the near edge.
func endpoints(t *trial) {
	const count, perSecond = 5, 500
	rounds := choose(t, 3, 10)
	_, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	all := []int{firstBackend}
	for i := 1; i < count; i++ {
		all = append(all, firstBackend+i)
	}
	// Each connection comes to an endpoint of its own.
	watcher := near.clientOf(1, farPort)
	watcher.Transport.(*http.Transport).DisableKeepAlives = true
	names := func() int {
		return len(watcher.repeat(4*count, 1, func(i int) string { return at(far, i) }).names)
	}
	calls := near.client(16).steady(perSecond, func(i int) string { return at(far, i) })
	for range rounds {
		var more []*backend
		for i, port := range all[1:] {
			more = append(more, far.serve(port, fmt.Sprint(far.name, 1+i)))
		}
		far.write("services.yaml", ratings(all...).yaml())
		t.Await("all endpoints answer", func() bool { return names() == count })
		far.write("services.yaml", ratings(firstBackend).yaml())
		t.Await("one endpoint answers", func() bool { return names() == 1 })
		for _, one := range more {
			t.leave(one)
		}
	}
	result := calls.stop()
	t.Figure("1, 5 and 1 endpoints, %d times, at %d calls a second: %s; %d names answered, the slowest after %s",
		rounds, perSecond, result, len(result.names), result.slowest.Round(time.Millisecond))
	require.Zero(t, result.failed)
	// Which of the five get some of these is chance; that all are used, the watcher has seen.
	require.Greater(t, len(result.names), 1)
}
