package gateways

import (
	"encoding/json"
	"fmt"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/bench/ads"
	"selvedge.dev/conformance/bench/peer"
)

// named is a resource with a name of its own.
type named interface {
	proto.Message
	GetName() string
}

// serveListeners starts a control plane with Envoy's listeners and clusters for `selvedge proxy router`.
func serveListeners(g *Gateway, _ string, pair *KeyPair) (*launch, error) {
	if err := peer.PrepareRouter(); err != nil {
		return nil, err
	}
	server, err := ads.Serve(peer.ControlPlanePort)
	if err != nil {
		return nil, err
	}
	for _, list := range []struct {
		text string
		make func() named
	}{
		{g.clusters(), func() named { return &cluster.Cluster{} }},
		{g.listeners(pair), func() named { return &listener.Listener{} }},
	} {
		if err := set(server, list.text, list.make); err != nil {
			server.Stop()
			return nil, err
		}
	}
	arguments, variables := peer.RouterArguments(1)
	return &launch{arguments, variables, server.Stop}, nil
}

// set serves the resources of a YAML list.
func set(server *ads.Server, text string, make func() named) error {
	var items []json.RawMessage
	if err := yaml.Unmarshal([]byte(text), &items); err != nil {
		return err
	}
	for _, item := range items {
		message := make()
		if err := protojson.Unmarshal(item, message); err != nil {
			return fmt.Errorf("%s: %w", message.ProtoReflect().Descriptor().Name(), err)
		}
		if err := server.SetMessage(message.GetName(), message); err != nil {
			return err
		}
	}
	return nil
}
