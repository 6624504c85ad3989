package ads

import (
	"fmt"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// wildcard in a subscription means every resource of the type.
const wildcard = "*"

// subscription is what a stream wants of one type, and what it has got.
type subscription struct {
	names map[string]bool
	sent  map[string]string
}

// stream is one proxy's.
type stream struct {
	server        *Server
	connection    discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	subscriptions map[string]*subscription
	changed       chan struct{}
	nonce         int
}

// DeltaAggregatedResources serves one proxy until it goes.
func (s *Server) DeltaAggregatedResources(connection discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	current := &stream{server: s, connection: connection, subscriptions: map[string]*subscription{}, changed: make(chan struct{}, 1)}
	s.mutex.Lock()
	s.streams[current] = true
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		delete(s.streams, current)
		s.mutex.Unlock()
	}()
	requests := make(chan *discovery.DeltaDiscoveryRequest)
	go func() {
		defer close(requests)
		for {
			request, err := connection.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- request:
			case <-connection.Context().Done():
				return
			}
		}
	}()
	return current.serve(requests)
}

func (c *stream) serve(requests <-chan *discovery.DeltaDiscoveryRequest) error {
	for {
		select {
		case request, open := <-requests:
			if !open {
				return nil
			}
			c.subscribe(request)
		case <-c.changed:
		}
		if err := c.send(); err != nil {
			return err
		}
	}
}

// notify says that resources have changed; the server's mutex is held.
func (c *stream) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *stream) subscribe(request *discovery.DeltaDiscoveryRequest) {
	if detail := request.GetErrorDetail(); detail != nil {
		c.server.mutex.Lock()
		c.server.refusals = append(c.server.refusals, fmt.Sprintf("%s: %s", request.TypeUrl, detail.Message))
		c.server.mutex.Unlock()
	}
	wanted, known := c.subscriptions[request.TypeUrl]
	if !known {
		wanted = &subscription{names: map[string]bool{}, sent: map[string]string{}}
		c.subscriptions[request.TypeUrl] = wanted
		// These two types are subscribed to as a whole by whoever names none.
		if len(request.ResourceNamesSubscribe) == 0 && (request.TypeUrl == Cluster || request.TypeUrl == Listener) {
			wanted.names[wildcard] = true
		}
	}
	for _, name := range request.ResourceNamesUnsubscribe {
		delete(wanted.names, name)
		delete(wanted.sent, name)
	}
	for _, name := range request.ResourceNamesSubscribe {
		wanted.names[name] = true
		delete(wanted.sent, name)
	}
}

// send sends what is subscribed to and has not been sent as it is now.
func (c *stream) send() error {
	for _, typeURL := range pushOrder {
		wanted := c.subscriptions[typeURL]
		if wanted == nil {
			continue
		}
		resources := c.due(typeURL, wanted)
		if len(resources) == 0 {
			continue
		}
		c.nonce++
		response := &discovery.DeltaDiscoveryResponse{TypeUrl: typeURL, Nonce: strconv.Itoa(c.nonce), Resources: resources}
		if err := c.connection.Send(response); err != nil {
			return err
		}
	}
	return nil
}

func (c *stream) due(typeURL string, wanted *subscription) []*discovery.Resource {
	c.server.mutex.Lock()
	defer c.server.mutex.Unlock()
	var due []*discovery.Resource
	for name, held := range c.server.resources[typeURL] {
		if (!wanted.names[wildcard] && !wanted.names[name]) || wanted.sent[name] == held.version {
			continue
		}
		wanted.sent[name] = held.version
		due = append(due, &discovery.Resource{Name: name, Version: held.version, Resource: held.body})
	}
	return due
}
