package scale

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"selvedge.dev/conformance/bench/ads"
	"selvedge.dev/conformance/bench/peer"
)

// resources are the listener and, for each service, a cluster, its endpoint and its virtual host: what
// the real istiod sent for one service, once for each.
type resources struct {
	listener  *listener.Listener
	routes    *route.RouteConfiguration
	clusters  []*cluster.Cluster
	endpoints []*endpoint.ClusterLoadAssignment

	// What is copied for a service.
	cluster  *cluster.Cluster
	endpoint *endpoint.ClusterLoadAssignment
	host     *route.VirtualHost
	// changed is the service whose route is changed.
	changed int
}

// templates names the resources of the service that is copied.
var templates = struct{ listener, routes, cluster string }{
	listener: fmt.Sprintf("0.0.0.0_%d", peer.HTTP),
	routes:   fmt.Sprintf("http.%d", peer.HTTP),
	cluster:  "outbound|7001||backend.bench.internal",
}

func build(setup *peer.Setup, size int) (*resources, error) {
	captured, err := ads.Load(filepath.Join(setup.Bench, "istio", "envoy.json"))
	if err != nil {
		return nil, err
	}
	r := &resources{changed: changed(size), listener: &listener.Listener{}, routes: &route.RouteConfiguration{}}
	oneCluster, oneEndpoint := &cluster.Cluster{}, &endpoint.ClusterLoadAssignment{}
	err = errors.Join(
		take(captured, templates.listener, r.listener),
		take(captured, templates.routes, r.routes),
		take(captured, templates.cluster, oneCluster),
		take(captured, templates.cluster, oneEndpoint),
	)
	if err != nil {
		return nil, err
	}
	r.cluster, r.endpoint, r.host = oneCluster, oneEndpoint, r.routes.VirtualHosts[0]
	// The last route is the one for all paths.
	r.host.Routes = r.host.Routes[len(r.host.Routes)-1:]
	r.routes.VirtualHosts = nil
	for range size {
		r.add()
	}
	return r, nil
}

// add adds one service more.
func (r *resources) add() {
	number := len(r.clusters)
	name := fmt.Sprintf("outbound|80||svc-%d.bench.svc.cluster.local", number)
	r.clusters = append(r.clusters, renamedCluster(r.cluster, name))
	assignment := proto.CloneOf(r.endpoint)
	assignment.ClusterName = name
	r.endpoints = append(r.endpoints, assignment)
	virtualHost := proto.CloneOf(r.host)
	virtualHost.Name = fmt.Sprintf("%s:%d", hostName(number), peer.HTTP)
	virtualHost.Domains = []string{hostName(number)}
	virtualHost.Routes[0].GetRoute().ClusterSpecifier = &route.RouteAction_Cluster{Cluster: name}
	r.routes.VirtualHosts = append(r.routes.VirtualHosts, virtualHost)
}

func renamedCluster(template *cluster.Cluster, name string) *cluster.Cluster {
	c := proto.CloneOf(template)
	c.Name, c.AltStatName = name, name+";"
	c.EdsClusterConfig.ServiceName = name
	return c
}

// take finds the captured resource of a name and of the message's type.
func take(captured []ads.Resource, name string, message proto.Message) error {
	for _, resource := range captured {
		if resource.Name == name && resource.Body.MessageIs(message) {
			return resource.Body.UnmarshalTo(message)
		}
	}
	return fmt.Errorf("nothing of the name %q and type %s was captured", name, message.ProtoReflect().Descriptor().FullName())
}

// mark makes the changed service's route carry a generation in its responses.
func (r *resources) mark(generation int) {
	changedRoute := r.routes.VirtualHosts[r.changed].Routes[0]
	changedRoute.ResponseHeadersToAdd = []*core.HeaderValueOption{{
		Header:       &core.HeaderValue{Key: generationHeader, Value: strconv.Itoa(generation)},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}
