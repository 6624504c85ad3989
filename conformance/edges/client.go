package edges

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// patience of clients with one answer.
const patience = 30 * time.Second

// client calls an edge from its LAN.
type client struct {
	http.Client
	edge *edge
	port int
}

// client with so many connections at most.
func (e *edge) client(connections int) *client { return e.clientOf(connections, httpPort) }

// clientOf asks at another port than that of HTTP: by TCP, to a backend of a service without any of the gateway's pools.
func (e *edge) clientOf(connections, port int) *client {
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}
	transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		return e.neighbour.Dial(&net.Dialer{Timeout: patience}, address)
	}
	e.overlay.Later(func() error { transport.CloseIdleConnections(); return nil })
	return &client{http.Client{Transport: transport, Timeout: patience}, e, port}
}

func (c *client) url(path string) string {
	return fmt.Sprintf("http://%s:%d%s", c.edge.place.Address, c.port, path)
}

// ask gives the body of an answer of 200.
func (c *client) ask(path string) (string, error) {
	response, err := c.Get(c.url(path))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", path, response.Status, body)
	}
	return string(body), err
}

// await waits until a path is answered by a name.
func (c *client) await(path, name string) {
	var last error
	deadline := time.Now().Add(patience)
	for {
		body, err := c.ask(path)
		if err == nil && body == name+" "+path {
			return
		}
		if last = err; err == nil {
			last = fmt.Errorf("the answer is %q", body)
		}
		if time.Now().After(deadline) {
			require.NoError(c.edge.overlay, last, "%s by %s; its log:\n%s", path, c.edge.name, c.edge.process.Tail())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// tally is what became of calls.
type tally struct {
	mutex  sync.Mutex
	calls  int
	failed int
	// first failure.
	first error
	// names of backends that answered.
	names   map[string]int
	slowest time.Duration
	// last is when a call was answered for the last time.
	last time.Time
}

// call asks once and notes what becomes of it. The answer must be for what was asked; who gave it is noted.
func (t *tally) call(c *client, path string) {
	begun := time.Now()
	body, err := c.ask(path)
	took := time.Since(begun)
	var name, asked string
	if err == nil {
		if _, err = fmt.Sscan(body, &name, &asked); err == nil && asked != path {
			err = fmt.Errorf("%s was answered with %q", path, body)
		}
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.calls++
	t.slowest = max(t.slowest, took)
	if err != nil {
		t.failed++
		if t.first == nil {
			t.first = err
		}
		return
	}
	if t.names == nil {
		t.names = map[string]int{}
	}
	t.names[name]++
	t.last = time.Now()
}

// lastAnswer is when a call was answered for the last time up to now.
func (t *tally) lastAnswer() time.Time {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.last
}

func (t *tally) String() string {
	text := fmt.Sprintf("%d of %d failed", t.failed, t.calls)
	if t.first != nil {
		text += ", the first: " + t.first.Error()
	}
	return text
}

// repeat makes so many calls, by so many at a time.
func (c *client) repeat(count, parallel int, path func(int) string) *tally {
	t, next := &tally{}, make(chan int)
	var group sync.WaitGroup
	for range parallel {
		group.Go(func() {
			for i := range next {
				t.call(c, path(i))
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	group.Wait()
	return t
}

// steady calls at a rate per second, whether they are answered or not, until it is stopped.
type steady struct {
	tally
	stopped chan struct{}
	group   sync.WaitGroup
}

func (c *client) steady(rate int, path func(int) string) *steady {
	s := &steady{stopped: make(chan struct{})}
	s.group.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-s.stopped:
				return
			case <-ticker.C:
				s.group.Go(func() { s.call(c, path(i)) })
			}
		}
	})
	return s
}

// stop waits for all answers.
func (s *steady) stop() *tally {
	close(s.stopped)
	s.group.Wait()
	return &s.tally
}
