package ads

import (
	"context"
	"fmt"
	"time"

	clusterapi "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerapi "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"selvedge.dev/conformance/discover"
)

// answerLimit bounds the wait for one type.
const answerLimit = 20 * time.Second

// Fetch asks a control plane for everything that a gateway with these labels gets: listeners, the
// routes they name, all clusters and their endpoints.
func Fetch(ctx context.Context, address string, labels map[string]any) ([]Resource, error) {
	connection, err := discover.Connect(address, insecure.NewCredentials())
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	node, err := gatewayNode(labels)
	if err != nil {
		return nil, err
	}
	stream, err := discover.Open(ctx, connection, node)
	if err != nil {
		return nil, err
	}
	var all []Resource
	ask := func(typeURL string, names []string) ([]Resource, error) {
		resources, err := askOnce(stream, typeURL, names)
		all = append(all, resources...)
		return resources, err
	}
	clusters, err := ask(Cluster, nil)
	if err != nil {
		return nil, err
	}
	endpoints, err := endpointNames(clusters)
	if err != nil {
		return nil, err
	}
	if len(endpoints) > 0 {
		if _, err := ask(Endpoints, endpoints); err != nil {
			return nil, err
		}
	}
	listeners, err := ask(Listener, nil)
	if err != nil {
		return nil, err
	}
	routes, err := routeNames(listeners)
	if err != nil {
		return nil, err
	}
	if _, err := ask(Route, routes); err != nil {
		return nil, err
	}
	return all, nil
}

// gatewayAddress is an address that no service of the benchmark has: istiod would take the gateway for
// that service's workload, and its labels for the gateway's.
const gatewayAddress = "10.0.0.1"

func gatewayNode(labels map[string]any) (*core.Node, error) {
	metadata, err := structpb.NewStruct(map[string]any{
		"NAMESPACE": "bench", "NAME": "bench", "CLUSTER_ID": "Kubernetes", "INSTANCE_IPS": gatewayAddress,
		"LABELS": labels, "ISTIO_VERSION": "1.31.0", "SERVICE_ACCOUNT": "bench",
		"PROXY_CONFIG": map[string]any{"discoveryAddress": "istiod.istio-system.svc:15012"},
	})
	return &core.Node{Id: "router~" + gatewayAddress + "~bench.bench~bench.svc.cluster.local", Cluster: "bench.bench", Metadata: metadata}, err
}

// askOnce asks for a type and returns its resources.
func askOnce(stream *discover.Stream, typeURL string, names []string) ([]Resource, error) {
	if err := stream.Ask(typeURL, names); err != nil {
		return nil, err
	}
	answered, err := stream.Answer(typeURL)
	var resources []Resource
	for _, resource := range answered {
		if resource.Resource.GetTypeUrl() == typeURL {
			resources = append(resources, Resource{resource.Name, resource.Resource})
		}
	}
	return resources, err
}

// routeNames are the route configurations that listeners refer to.
func routeNames(listeners []Resource) ([]string, error) {
	seen := map[string]bool{}
	var names []string
	for _, resource := range listeners {
		listener := &listenerapi.Listener{}
		if err := resource.Body.UnmarshalTo(listener); err != nil {
			return nil, err
		}
		for _, chain := range listener.FilterChains {
			for _, filter := range chain.Filters {
				manager := &hcm.HttpConnectionManager{}
				if filter.GetTypedConfig().UnmarshalTo(manager) != nil {
					continue // Not HTTP.
				}
				if name := manager.GetRds().GetRouteConfigName(); name != "" && !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%d listeners name no route configuration", len(listeners))
	}
	return names, nil
}

// endpointNames are the assignments that clusters refer to.
func endpointNames(clusters []Resource) ([]string, error) {
	var names []string
	for _, resource := range clusters {
		cluster := &clusterapi.Cluster{}
		if err := resource.Body.UnmarshalTo(cluster); err != nil {
			return nil, err
		}
		if name := discover.EndpointsOf(cluster); name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}
