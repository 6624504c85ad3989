package local

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"selvedge.dev/conformance/certificate"
	"selvedge.dev/conformance/cluster"
)

//go:embed gateway.yaml
var gatewayYAML []byte

const (
	namespace = "edge"
	// identity is what istiod's authority vouches for in the gateways' certificates.
	identity = "spiffe://cluster.local/ns/edge/sa/edge"
	// adminPort is the gateway's admin port, on its own loopback.
	adminPort = 15000
	// podLimit bounds the start of the gateways.
	podLimit = 60 * time.Second
	// applyLimit bounds one wait for the API server and istiod's webhooks.
	applyLimit = 20 * time.Second
)

// startGateways deploys the gateways, and returns who can ask istiod in their place.
func (s *Suite) startGateways(ctx context.Context) (map[string]*asker, error) {
	objects, err := cluster.ParseObjects(gatewayYAML)
	if err != nil {
		return nil, err
	}
	if err := s.clients.Apply(ctx, objects, applyLimit); err != nil {
		return nil, err
	}
	pair, err := s.identity()
	if err != nil {
		return nil, err
	}
	askers := map[string]*asker{}
	for _, name := range []string{edge, ingressgateway} {
		pods, err := s.Cluster.AwaitReady(ctx, s.clients, namespace, "istio="+name, 1, podLimit)
		if err != nil {
			return nil, err
		}
		node, err := nodeOf(&pods[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pods[0].Name, err)
		}
		askers[name] = &asker{node: node, identity: pair, roots: s.authorities.Pool("istio")}
	}
	return askers, nil
}

// nodeOf is how the gateway names itself to istiod.
func nodeOf(pod *cluster.Pod) (*core.Node, error) {
	page, err := pod.Get(adminPort, "/config_dump")
	if err != nil {
		return nil, err
	}
	var dump struct {
		Configs []struct {
			Bootstrap struct {
				Node json.RawMessage `json:"node"`
			} `json:"bootstrap"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(page, &dump); err != nil {
		return nil, fmt.Errorf("config_dump: %w", err)
	}
	for _, config := range dump.Configs {
		if config.Bootstrap.Node != nil {
			node := &core.Node{}
			return node, protojson.Unmarshal(config.Bootstrap.Node, node)
		}
	}
	return nil, errors.New("its config_dump names no node")
}

// identity is a certificate of the gateways' service account.
func (s *Suite) identity() (tls.Certificate, error) {
	text, key, err := s.authorities.Issue(certificate.Spec{Issuer: "istio", URIs: []string{identity}})
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, key)
}
