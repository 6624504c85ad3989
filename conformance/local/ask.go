package local

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	clusterapi "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsapi "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/anypb"

	"selvedge.dev/conformance/cluster"
)

const (
	// askLimit bounds all answers of istiod to one asker.
	askLimit = 20 * time.Second
	// largestAnswer is how many bytes one answer may have.
	largestAnswer = 64 << 20

	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	secretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// asker asks istiod as one gateway's pod would: with its node, its certificate and over TLS, which is
// what istiod hands secrets out for. Every time is the first: nothing that istiod sent before counts.
type asker struct {
	node     *core.Node
	identity tls.Certificate
	roots    *x509.CertPool
}

// everything is all that istiod has for the gateway: all listeners and clusters, and the route tables,
// endpoints and secrets that they name.
func (a *asker) everything(ctx context.Context) (Resources, error) {
	config := &tls.Config{
		Certificates: []tls.Certificate{a.identity}, RootCAs: a.roots, MinVersion: tls.VersionTLS12,
		ServerName: "istiod.istio-system.svc",
	}
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", cluster.IstiodSecure), grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestAnswer)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	client := discovery.NewAggregatedDiscoveryServiceClient(connection)
	s := &session{node: a.node, resources: Resources{}, named: map[string]map[string]bool{endpointType: {}, routeType: {}, secretType: {}}}
	// Secrets that are not there are not answered at all: the clusters behind them on the same stream
	// say that istiod is done with them.
	for _, kinds := range [][]string{{clusterType, endpointType, listenerType, routeType}, {secretType, clusterType}} {
		if s.stream, err = client.DeltaAggregatedResources(ctx); err != nil {
			return nil, err
		}
		for _, kind := range kinds {
			if err := s.ask(kind); err != nil {
				return nil, fmt.Errorf("istiod, asked for %s: %w", kind, err)
			}
		}
	}
	return s.resources, nil
}

// session is what has been asked and answered so far.
type session struct {
	stream    discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node      *core.Node
	resources Resources
	// named are the names that resources refer to, by type.
	named map[string]map[string]bool
}

// ask asks for a type, for all resources of it or for those that were named so far, and takes what
// comes until the first answer of that type; only secrets are not waited for.
func (s *session) ask(kind string) error {
	names, byName := s.named[kind]
	if byName && len(names) == 0 {
		return nil
	}
	request := &discovery.DeltaDiscoveryRequest{Node: s.node, TypeUrl: kind, ResourceNamesSubscribe: slices.Sorted(maps.Keys(names))}
	if err := s.stream.Send(request); err != nil {
		return err
	}
	if kind == secretType {
		return nil
	}
	for {
		response, err := s.stream.Recv()
		if err != nil {
			return err
		}
		if err := s.stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce}); err != nil {
			return err
		}
		for _, resource := range response.Resources {
			if err := s.take(resource.Name, resource.Resource); err != nil {
				return fmt.Errorf("%s: %w", resource.Name, err)
			}
		}
		if response.TypeUrl == kind {
			return nil
		}
	}
}

// take keeps a resource, and what it names.
func (s *session) take(name string, body *anypb.Any) error {
	message, err := body.UnmarshalNew()
	if err != nil {
		return err
	}
	switch message := message.(type) {
	case *clusterapi.Cluster:
		if message.GetType() == clusterapi.Cluster_EDS {
			s.named[endpointType][cmp.Or(message.GetEdsClusterConfig().GetServiceName(), message.Name)] = true
		}
	case *tlsapi.Secret:
		// As in every dump of the gateway.
		if key := message.GetTlsCertificate().GetPrivateKey(); key != nil {
			key.Specifier = &core.DataSource_InlineBytes{InlineBytes: []byte("[redacted]")}
		}
	}
	if err := s.resources.add(name, message); err != nil {
		return err
	}
	added := s.resources[Key{string(message.ProtoReflect().Descriptor().Name()), name}]
	eachObject(added, func(object map[string]any) {
		if table, ok := object["route_config_name"].(string); ok {
			s.named[routeType][table] = true
		}
		// What the agent answers (the pod's own certificate) has another source.
		if source, ok := object["sds_config"].(map[string]any); ok && source["ads"] != nil {
			if secret, ok := object["name"].(string); ok {
				s.named[secretType][secret] = true
			}
		}
	})
	return nil
}

// eachObject visits every JSON object inside a value.
func eachObject(value any, visit func(map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		visit(value)
		for _, field := range value {
			eachObject(field, visit)
		}
	case []any:
		for _, item := range value {
			eachObject(item, visit)
		}
	}
}
