package edges

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// forgery is a record that nobody should believe, and why.
type forgery struct {
	what, reason string
	record
}

// forgeries are told to a hub by an edge that was let in, while the others call each other.
func forgeries(t *trial) {
	const each, perSecond = 10, 100
	o, edges := t.threeEdges()
	near, far, hub := edges[0], edges[1], o.hubs[0]
	forger, stranger := o.forger(near.place, tenant, "forger"), o.forger(near.place, "globex", "stranger")
	calls := near.client(16).steady(perSecond, func(i int) string { return at(far, i) })

	// What it may hear it hears: the record of another edge, and the next one.
	line := forger.dial(hub)
	old := line.record(t, far.name)
	genuine := old
	far.write("more.yaml", service{name: "more", address: "10.42.1.1", ports: []int{firstBackend}}.yaml())
	for bytes.Equal(genuine.payload, old.payload) {
		genuine = line.record(t, far.name)
	}
	require.NoError(t, line.Close())
	invented := []byte(`{"epoch":1000000,"sequence":1,"services":[]}`)
	changed := forger.sign(forger.own(), invented)
	changed.payload = bytes.Replace(invented, []byte("1000000"), []byte("1000001"), 1)
	ofFar := "it tells of edge " + far.name + " of tenant " + tenant
	before := o.status(hub.directory).Edges

	rejected, logged := 0, 0
	for _, one := range []forgery{
		{"of another edge, signed by its own key", ofFar, forger.sign(genuine.certificate, invented)},
		{"of another edge, genuine and old", ofFar, old},
		{"of another edge, with another byte", ofFar, record{genuine.certificate, genuine.signature, bytes.Replace(genuine.payload, []byte(`"epoch":`), []byte(`"epoch":1`), 1)}},
		{"of another tenant", "it tells of edge stranger of tenant globex", stranger.sign(stranger.own(), invented)},
		{"its own, with another byte", "BadSignature", changed},
	} {
		says := func() int { return strings.Count(o.log(hub.name), one.reason) }
		lines, deadline := says(), time.Now().Add(patience)
		// Lines of a log are seldom.
		for i := 0; i < each || says() == lines; i++ {
			require.True(t, time.Now().Before(deadline), "the log of the hub says nothing of a record %s", one.what)
			line := forger.dial(hub)
			line.tell(t, one.record)
			line.refused(t)
			// The hub has done so first.
			_ = line.Close()
			rejected++
			time.Sleep(time.Second / 20)
		}
		logged++
	}
	counted := hub.count("announcements_refused")
	require.Equal(t, before, o.status(hub.directory).Edges, "what the hub knows")
	result := calls.stop()
	t.Figure("%d of %d records were rejected and counted, of %d kinds, which the log names; calls of others meanwhile: %s", counted, rejected, logged, result)
	require.Equal(t, rejected, counted)
	require.Zero(t, result.failed, result)
}

// count is a counter of the hub's overlay.
func (h *hub) count(counter string) int {
	socket, err := h.place.Dial(&net.Dialer{Timeout: patience}, h.admin())
	require.NoError(h.overlay, err)
	defer func() { _ = socket.Close() }()
	_, err = fmt.Fprintf(socket, "GET /stats?filter=overlay.%s HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n", counter)
	require.NoError(h.overlay, err)
	var answer bytes.Buffer
	_, err = answer.ReadFrom(socket)
	require.NoError(h.overlay, err)
	_, value, _ := strings.Cut(answer.String(), counter+": ")
	var count int
	_, err = fmt.Sscan(value, &count)
	require.NoError(h.overlay, err, answer.String())
	return count
}
