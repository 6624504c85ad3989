package differential

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"selvedge.dev/conformance/echo"
	"selvedge.dev/conformance/kubelet"
)

// collectorPort is in base/4-backends.yaml, too.
const collectorPort = 9900

// collector gathers what the backends saw.
type collector struct {
	mu     sync.Mutex
	seen   map[string][]*echo.Seen // by identity
	server *http.Server
}

// startCollector listens on the node's address.
func startCollector() (*collector, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", kubelet.NodeIP, collectorPort))
	if err != nil {
		return nil, err
	}
	c := &collector{seen: map[string][]*echo.Seen{}}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /seen", func(_ http.ResponseWriter, request *http.Request) {
		seen := &echo.Seen{}
		if json.NewDecoder(request.Body).Decode(seen) == nil {
			c.add(seen)
		}
	})
	c.server = &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.server.Serve(listener) }()
	return c, nil
}

func (c *collector) close() { _ = c.server.Close() }

func (c *collector) add(seen *echo.Seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[seen.ID] = append(c.seen[seen.ID], seen)
}

// of returns what backends have seen of one request so far.
func (c *collector) of(id string) []*echo.Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[id]
}
