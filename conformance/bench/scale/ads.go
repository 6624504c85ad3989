package scale

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/types/known/anypb"

	"selvedge.dev/conformance/bench/ads"
	"selvedge.dev/conformance/bench/peer"
)

var subjects = []*subject{
	{title: "Selvedge, delta ADS", start: func(setup *peer.Setup, _ string, size int) (*prepared, error) {
		p, err := overADS(setup, size)
		if err != nil {
			return nil, err
		}
		p.program = setup.Selvedge
		p.arguments, p.variables = peer.RouterArguments(1)
		return p, peer.PrepareRouter()
	}},
	{title: "Envoy, delta ADS", start: func(setup *peer.Setup, directory string, size int) (*prepared, error) {
		p, err := overADS(setup, size)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(directory, "envoy.yaml")
		p.program, p.arguments = setup.Envoy, peer.EnvoyArguments(file, 1)
		return p, os.WriteFile(file, []byte(peer.EnvoyBootstrap()), 0o644)
	}},
	{title: "Envoy, files", start: envoyFromFiles},
	{title: "Selvedge, YAML folder", start: selvedgeFromYAML},
}

// overADS serves the resources on istiod's port.
func overADS(setup *peer.Setup, size int) (*prepared, error) {
	r, err := build(setup, size)
	if err != nil {
		return nil, err
	}
	server, err := ads.Serve(peer.ControlPlanePort)
	if err != nil {
		return nil, err
	}
	err = errors.Join(r.serveFrom(0, server), server.SetMessage(r.listener.Name, r.listener), server.SetMessage(r.routes.Name, r.routes))
	if err != nil {
		server.Stop()
		return nil, err
	}
	refused := func() error {
		if refusals := server.Refusals(); len(refusals) > 0 {
			return fmt.Errorf("refused: %s", strings.Join(refusals, "; "))
		}
		return nil
	}
	change := func(generation int) error {
		r.mark(generation)
		return errors.Join(refused(), server.SetMessage(r.routes.Name, r.routes))
	}
	add := func() error {
		r.add()
		return errors.Join(refused(), r.serveFrom(len(r.clusters)-1, server), server.SetMessage(r.routes.Name, r.routes))
	}
	return &prepared{change: change, add: add, stop: server.Stop}, nil
}

// serveFrom serves the clusters from this number on, and their endpoints.
func (r *resources) serveFrom(first int, server *ads.Server) error {
	var clusters, endpoints []ads.Resource
	for i := first; i < len(r.clusters); i++ {
		c, clusterErr := anypb.New(r.clusters[i])
		e, endpointErr := anypb.New(r.endpoints[i])
		if err := errors.Join(clusterErr, endpointErr); err != nil {
			return err
		}
		clusters = append(clusters, ads.Resource{Name: r.clusters[i].Name, Body: c})
		endpoints = append(endpoints, ads.Resource{Name: r.endpoints[i].ClusterName, Body: e})
	}
	server.Set(ads.Cluster, clusters...)
	server.Set(ads.Endpoints, endpoints...)
	return nil
}
