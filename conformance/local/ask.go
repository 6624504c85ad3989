package local

import (
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
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/anypb"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/discover"
)

// askLimit bounds all answers of istiod to one asker.
const askLimit = 20 * time.Second

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
	connection, err := discover.Connect(fmt.Sprintf("127.0.0.1:%d", cluster.IstiodSecure), credentials.NewTLS(config))
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	s := &session{resources: Resources{}, named: map[string]map[string]bool{discover.Endpoints: {}, discover.Route: {}, discover.Secret: {}}}
	// Secrets that are not there are not answered at all: the clusters behind them on the same stream
	// say that istiod is done with them.
	first := []string{discover.Cluster, discover.Endpoints, discover.Listener, discover.Route}
	for _, kinds := range [][]string{first, {discover.Secret, discover.Cluster}} {
		if s.stream, err = discover.Open(ctx, connection, a.node); err != nil {
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
	stream    *discover.Stream
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
	if err := s.stream.Ask(kind, slices.Sorted(maps.Keys(names))); err != nil {
		return err
	}
	if kind == discover.Secret {
		return nil
	}
	answered, err := s.stream.Answer(kind)
	if err != nil {
		return err
	}
	for _, resource := range answered {
		if err := s.take(resource.Name, resource.Resource); err != nil {
			return fmt.Errorf("%s: %w", resource.Name, err)
		}
	}
	return nil
}

// take keeps a resource, and what it names.
func (s *session) take(name string, body *anypb.Any) error {
	message, err := body.UnmarshalNew()
	if err != nil {
		return err
	}
	switch message := message.(type) {
	case *clusterapi.Cluster:
		if name := discover.EndpointsOf(message); name != "" {
			s.named[discover.Endpoints][name] = true
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
			s.named[discover.Route][table] = true
		}
		// What the agent answers (the pod's own certificate) has another source.
		if source, ok := object["sds_config"].(map[string]any); ok && source["ads"] != nil {
			if secret, ok := object["name"].(string); ok {
				s.named[discover.Secret][secret] = true
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
