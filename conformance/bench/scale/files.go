package scale

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"selvedge.dev/conformance/bench/peer"
)

// envoyFromFiles gives Envoy the same resources as files that it watches; endpoints are part of the
// clusters there.
func envoyFromFiles(setup *peer.Setup, directory string, size int) (*prepared, error) {
	r, err := build(setup, size)
	if err != nil {
		return nil, err
	}
	path := func(name string) string { return filepath.Join(directory, name) }
	if err := routesFromFile(r, path("rds.json")); err != nil {
		return nil, err
	}
	bootstrap := fmt.Sprintf(fileBootstrap, path("lds.json"), path("cds.json"))
	err = errors.Join(
		writeResources(path("cds.json"), r.staticClusters()...),
		writeResources(path("lds.json"), r.listener),
		writeResources(path("rds.json"), r.routes),
		os.WriteFile(path("envoy.yaml"), []byte(bootstrap), 0o644),
	)
	change := func(generation int) error {
		r.mark(generation)
		return writeResources(path("rds.json"), r.routes)
	}
	add := func() error {
		r.add()
		return errors.Join(writeResources(path("cds.json"), r.staticClusters()...), writeResources(path("rds.json"), r.routes))
	}
	return &prepared{program: setup.Envoy, arguments: peer.EnvoyArguments(path("envoy.yaml"), 1), change: change, add: add, stop: func() {}}, err
}

// staticClusters have their endpoints in them.
func (r *resources) staticClusters() []proto.Message {
	var clusters []proto.Message
	for i, c := range r.clusters {
		c.ClusterDiscoveryType = &cluster.Cluster_Type{Type: cluster.Cluster_STATIC}
		c.EdsClusterConfig = nil
		c.LoadAssignment = r.endpoints[i]
		clusters = append(clusters, c)
	}
	return clusters
}

// routesFromFile points the listener's connection manager to a file.
func routesFromFile(r *resources, file string) error {
	manager := &hcm.HttpConnectionManager{}
	filter := r.listener.FilterChains[0].Filters[0]
	if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
		return err
	}
	manager.GetRds().ConfigSource.ConfigSourceSpecifier = &core.ConfigSource_PathConfigSource{PathConfigSource: &core.PathConfigSource{Path: file}}
	return filter.GetTypedConfig().MarshalFrom(manager)
}

// writeResources writes a discovery response, moved into place as Envoy's watch wants it.
func writeResources(file string, messages ...proto.Message) error {
	var bodies []json.RawMessage
	for _, message := range messages {
		packed, err := anypb.New(message)
		if err != nil {
			return err
		}
		body, err := protojson.Marshal(packed)
		if err != nil {
			return err
		}
		bodies = append(bodies, body)
	}
	data, err := json.Marshal(map[string]any{"resources": bodies})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

const fileBootstrap = `
node: {id: bench, cluster: bench}
stats_config:
  use_all_default_tags: false
  stats_matcher: {inclusion_list: {patterns: [{prefix: cluster_manager}, {prefix: listener_manager}, {prefix: server}]}}
dynamic_resources:
  lds_config: {path_config_source: {path: %s}, resource_api_version: V3}
  cds_config: {path_config_source: {path: %s}, resource_api_version: V3}
`
