// Package ads is a small control plane: a delta ADS server that hands the same resources to any proxy,
// and a client that takes from istiod what it would send to a gateway.
package ads

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"selvedge.dev/conformance/discover"
)

// Resource is a named message of one of the types below.
type Resource struct {
	Name string
	Body *anypb.Any
}

// The types that are served.
const (
	Cluster   = discover.Cluster
	Endpoints = discover.Endpoints
	Listener  = discover.Listener
	Route     = discover.Route
	Secret    = discover.Secret
)

// pushOrder is istiod's.
var pushOrder = []string{Cluster, Endpoints, Listener, Route, Secret}

// versioned is a resource as it was set last.
type versioned struct {
	body    *anypb.Any
	version string
}

// Server serves the resources that it has been given.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	mutex     sync.Mutex
	version   int
	resources map[string]map[string]versioned
	streams   map[*stream]bool
	refusals  []string
	grpc      *grpc.Server
	address   net.Addr
}

// Serve starts a server on a loopback port, or on a free one if that is 0. Stop ends it.
func Serve(port int) (*Server, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	s := &Server{
		resources: map[string]map[string]versioned{},
		streams:   map[*stream]bool{},
		grpc:      grpc.NewServer(),
		address:   listener.Addr(),
	}
	discovery.RegisterAggregatedDiscoveryServiceServer(s.grpc, s)
	go func() { _ = s.grpc.Serve(listener) }()
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.address.String() }

// Stop closes every stream and the port.
func (s *Server) Stop() { s.grpc.Stop() }

// Set adds or replaces resources of one type and sends them to those who subscribed.
func (s *Server) Set(typeURL string, resources ...Resource) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.version++
	if s.resources[typeURL] == nil {
		s.resources[typeURL] = map[string]versioned{}
	}
	for _, resource := range resources {
		s.resources[typeURL][resource.Name] = versioned{resource.Body, strconv.Itoa(s.version)}
	}
	for stream := range s.streams {
		stream.notify()
	}
}

// SetMessage does the same with one message that is not packed yet.
func (s *Server) SetMessage(name string, message proto.Message) error {
	body, err := anypb.New(message)
	if err != nil {
		return err
	}
	s.Set(body.TypeUrl, Resource{name, body})
	return nil
}

// Refusals are the NACKs that came so far.
func (s *Server) Refusals() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.refusals)
}
