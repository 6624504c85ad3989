// Package discover asks a control plane for resources over delta ADS, as a gateway that starts does.
package discover

import (
	"cmp"
	"context"
	"fmt"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Types of resources.
const (
	Cluster   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	Endpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	Listener  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	Route     = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	Secret    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// largestAnswer is how many bytes one answer may have.
const largestAnswer = 64 << 20

// Connect prepares a connection, which is opened by its first stream.
func Connect(address string, security credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(security),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestAnswer)))
}

// Stream is one gateway's. Nothing that the control plane sent on another one counts.
type Stream struct {
	connection discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node       *core.Node
}

// Open opens a stream for the gateway that node describes. It ends with ctx.
func Open(ctx context.Context, connection *grpc.ClientConn, node *core.Node) (*Stream, error) {
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	return &Stream{stream, node}, nil
}

// Ask asks for the resources of a type that have these names, or for all of them if there are none.
func (s *Stream) Ask(typeURL string, names []string) error {
	return s.connection.Send(&discovery.DeltaDiscoveryRequest{Node: s.node, TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

// Answer acknowledges what comes, up to the first answer of that type, and returns all of it.
func (s *Stream) Answer(typeURL string) ([]*discovery.Resource, error) {
	var resources []*discovery.Resource
	for {
		response, err := s.connection.Recv()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", typeURL, err)
		}
		acknowledged := &discovery.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce}
		if err := s.connection.Send(acknowledged); err != nil {
			return nil, err
		}
		resources = append(resources, response.Resources...)
		if response.TypeUrl == typeURL {
			return resources, nil
		}
	}
}

// EndpointsOf names the endpoints that a cluster refers to; nothing if it has its own.
func EndpointsOf(c *cluster.Cluster) string {
	if c.GetType() != cluster.Cluster_EDS {
		return ""
	}
	return cmp.Or(c.GetEdsClusterConfig().GetServiceName(), c.Name)
}
