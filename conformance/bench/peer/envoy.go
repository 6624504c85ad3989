package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"selvedge.dev/conformance/bench/backend"
)

const envoyProgram = "envoy"

// unlimited switches Envoy's circuit breakers off, as Istio does: their default of 1024 would become
// what is measured.
const unlimited = `circuit_breakers: {thresholds: [{max_connections: 4294967295, max_pending_requests: 4294967295, max_requests: 4294967295, max_retries: 4294967295}]}`

func envoyBare() *Peer {
	return &Peer{
		Name: "envoy", Title: "Envoy, bare", program: envoyProgram, version: []string{"--version"},
		Configuration: "`--concurrency 1`, static configuration, the router filter only, no circuit breakers, no access log",
		prepare: func(setup *Setup, directory string) ([]string, []string, error) {
			return writeEnvoy(directory, bareConfiguration(setup))
		},
	}
}

// EnvoyArguments run Envoy on a configuration file.
func EnvoyArguments(file string) []string {
	return []string{"-c", file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"}
}

func writeEnvoy(directory, configuration string) ([]string, []string, error) {
	file := filepath.Join(directory, "envoy.yaml")
	return EnvoyArguments(file), nil, os.WriteFile(file, []byte(configuration), 0o644)
}

func bareConfiguration(setup *Setup) string {
	var listeners, clusters strings.Builder
	tls := fmt.Sprintf(envoyTLS, setup.Certificate.ChainFile, setup.Certificate.KeyFile)
	fmt.Fprintf(&listeners, envoyHTTP, "http", HTTP, "")
	fmt.Fprintf(&listeners, envoyHTTP, "https", HTTPS, tls)
	for _, port := range []struct {
		name            string
		listen, forward int
	}{
		{"tcp-http", TCPHTTP, backend.HTTP}, {"tcp-echo", TCPEcho, backend.Echo},
		{"tcp-sink", TCPSink, backend.Sink}, {"tcp-source", TCPSource, backend.Source},
	} {
		fmt.Fprintf(&listeners, envoyTCP, port.name, port.listen)
		fmt.Fprintf(&clusters, envoyCluster, port.name, unlimited, port.forward)
	}
	fmt.Fprintf(&clusters, envoyCluster, "http", unlimited, backend.HTTP)
	return fmt.Sprintf("admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}\nstatic_resources:\n  listeners:\n%s  clusters:\n%s",
		adminPort, listeners.String(), clusters.String())
}

const envoyTLS = `
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_certificates: [{certificate_chain: {filename: %s}, private_key: {filename: %s}}]`

const envoyHTTP = `
  - name: %[1]s
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: %[1]s
          route_config:
            virtual_hosts: [{name: bench, domains: [bench.test], routes: [{match: {prefix: /}, route: {cluster: http, timeout: 0s}}]}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}%[3]s
`

const envoyTCP = `
  - name: %[1]s
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: %[1]s
          cluster: %[1]s
`

const envoyCluster = `
  - name: %[1]s
    type: STATIC
    connect_timeout: 10s
    %[2]s
    load_assignment:
      cluster_name: %[1]s
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[3]d}}}}]}]
`
