package edges

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
)

// answerMarker is a header of all answers.
const answerMarker = "marker-of-an-answer"

// backend of a service.
type backend struct {
	http.Server
	// leaves says with every answer that the connection ends.
	leaves atomic.Bool
	// asked is when it was asked last, in nanoseconds.
	asked atomic.Int64
}

// leave ends a backend that gets no new connections, as servers do that nobody should miss: it says in its answers that their connections end, and goes
// when nobody asks any more. One that ends a silent connection at once may do that when a request is on its way, which then fails, as with Envoy:
// Istio's policy of retries is for requests that were not sent.
func (t *trial) leave(b *backend) {
	const silence = 300 * time.Millisecond
	b.leaves.Store(true)
	begun := time.Now()
	t.Await("nobody asks any more", func() bool {
		return time.Since(begun) > silence && time.Since(time.Unix(0, b.asked.Load())) > silence
	})
	require.NoError(t, b.Shutdown(context.Background()))
}

// perConnection is after how many answers a backend ends a connection, as servers do: so others get some, too.
const perConnection = 100

// serve answers at a port of the edge's neighbour with a name and what was asked for.
func (e *edge) serve(port int, name string) *backend {
	type key struct{}
	b := &backend{}
	b.ConnContext = func(of context.Context, _ net.Conn) context.Context {
		return context.WithValue(of, key{}, new(atomic.Int64))
	}
	b.Handler = http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		b.asked.Store(time.Now().UnixNano())
		if answered := request.Context().Value(key{}).(*atomic.Int64); answered.Add(1) == perConnection || b.leaves.Load() {
			writer.Header().Set("connection", "close")
		}
		writer.Header().Set("x-marker", answerMarker)
		_, _ = fmt.Fprintf(writer, "%s %s", name, request.URL.Path)
	})
	listener, err := e.neighbour.Listen(fmt.Sprintf("%s:%d", e.neighbour.Address, port))
	require.NoError(e.overlay, err)
	e.overlay.Later(b.Close)
	go func() { _ = b.Serve(listener) }()
	return b
}
