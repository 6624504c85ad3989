package edges

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/peer"
	"selvedge.dev/conformance/network"
)

// Ports of Envoy: for clients, and for the other Envoy, by a port that the router of its site forwards.
const (
	envoyPort = 8180
	envoyFar  = 15443
)

// costOfRequest compares the CPU time of both edges for a request with that of two Envoys at the same places. They reach each other because the far
// site's router forwards a port; a hub is what Selvedge needs in place of that, and is counted as well.
func costOfRequest(t *trial) {
	const connections, turn, most = 32, 2 * time.Second, 0.5
	topology := plainSites()
	topology.Sites[1].Uplinks[0].Forward = []uint16{envoyFar}
	o := t.build(topology)
	edges := o.addAll()
	near, far := edges[0], edges[1]
	// A service of its own, whose backend does nothing but answer.
	far.serveKilobytes(firstBackend + 1)
	far.write("services.yaml", ratings(firstBackend+1).yaml())
	near.write("routes.yaml", anyEdgeYAML)
	near.start("--concurrency", "1")
	far.start("--concurrency", "1")
	nearEnvoy, farEnvoy := t.envoys(o, near, far)
	paths := []*contender{
		{name: "Selvedge", port: httpPort, processes: []*machine.Process{near.process, far.process, o.hubs[0].process}},
		{name: "Envoy", port: envoyPort, processes: []*machine.Process{nearEnvoy, farEnvoy}},
	}
	for _, path := range paths {
		t.Await(path.name+" answers", func() bool {
			one, err := t.keepAlive(near, path.port, "/", 1)
			if err == nil {
				_, err = one.load(0)
			}
			return err == nil
		})
		var err error
		path.load, err = t.keepAlive(near, path.port, "/", connections)
		require.NoError(t, err)
	}
	for round := range choose(t, 4, 11) {
		for _, path := range paths {
			path.measure(t, turn, round > 0)
		}
	}
	ours, hub, theirs := paths[0].cost(2), paths[0].cost(3)-paths[0].cost(2), paths[1].cost(2)
	t.Figure("%.2f of Envoy's: %.1f us of CPU in both edges beside %.1f us (%d and %d requests); with the hub's %.1f us %.2f", ours/theirs, ours, theirs,
		paths[0].requests, paths[1].requests, hub, (ours+hub)/theirs)
	require.LessOrEqual(t, ours/theirs, most)
}

// contender is one way from a client to the far backend.
type contender struct {
	name      string
	port      int
	processes []*machine.Process
	load      *keepAlive
	requests  int64
	used      []time.Duration
}

func (c *contender) measure(t *trial, turn time.Duration, counts bool) {
	var answered int64
	used := t.cpu(func() {
		var err error
		answered, err = c.load.load(turn)
		require.NoError(t, err, c.name)
	}, c.processes...)
	if !counts {
		return
	}
	c.requests += answered
	if c.used == nil {
		c.used = make([]time.Duration, len(used))
	}
	for i := range used {
		c.used[i] += used[i]
	}
}

// cost of a request in the first of the processes, in microseconds.
func (c *contender) cost(processes int) float64 {
	var total time.Duration
	for _, used := range c.used[:processes] {
		total += used
	}
	return float64(total.Microseconds()) / float64(c.requests)
}

// envoys at both edges, with mutual TLS between them.
func (t *trial) envoys(o *overlay, near, far *edge) (nearEnvoy, farEnvoy *machine.Process) {
	directory := filepath.Join(t.Directory, "envoy")
	require.NoError(t, os.MkdirAll(directory, 0o755))
	c, err := peer.NewCertificates(directory)
	require.NoError(t, err)
	link, err := o.lab.Link(far.place.Name + "/wan0")
	require.NoError(t, err)
	start := func(place *network.Place, id, text string) *machine.Process {
		file := filepath.Join(directory, id+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		process, err := o.lab.Start(place.Name, id, exec.Command(t.settings.Envoy, peer.EnvoyArguments(file, 1)...))
		require.NoError(t, err)
		return process
	}
	upstream := fmt.Sprintf(envoyToTLS, peer.SecureBackend, c.Client.ChainFile, c.Client.KeyFile, c.Authority.ChainFile)
	nearText := fmt.Sprintf(envoyHop, envoyPort, "", o.lab.PublicAddress(link), envoyFar, upstream)
	downstream := fmt.Sprintf(envoyFromTLS, c.Backend.ChainFile, c.Backend.KeyFile, c.Authority.ChainFile)
	farText := fmt.Sprintf(envoyHop, envoyFar, downstream, far.neighbour.Address, firstBackend+1, "")
	return start(near.place, "envoy-near", nearText), start(far.place, "envoy-far", farText)
}

// envoyHop takes HTTP at a port and sends it on, with the router as its only filter and without limits.
const envoyHop = `static_resources:
  listeners:
  - name: listener
    address: {socket_address: {address: 0.0.0.0, port_value: %d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: hop
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: next, timeout: 0s}}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
%s
  clusters:
  - name: next
    type: STATIC
    connect_timeout: 10s
    circuit_breakers: {thresholds: [{max_connections: 4294967295, max_pending_requests: 4294967295, max_requests: 4294967295, max_retries: 4294967295}]}
    load_assignment: {cluster_name: next, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}]}]}
%s`

const envoyToTLS = `    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: %s
        common_tls_context:
          tls_params: {tls_maximum_protocol_version: TLSv1_3}
          tls_certificates: [{certificate_chain: {filename: %s}, private_key: {filename: %s}}]
          validation_context: {trusted_ca: {filename: %s}}
`

const envoyFromTLS = `      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            tls_certificates: [{certificate_chain: {filename: %s}, private_key: {filename: %s}}]
            validation_context: {trusted_ca: {filename: %s}}`
