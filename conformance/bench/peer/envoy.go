package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
		prepare: func(setup *Setup, directory string, workers int) ([]string, []string, error) {
			return writeEnvoy(directory, bareConfiguration(setup), workers)
		},
	}
}

// EnvoyArguments run Envoy on a configuration file with so many workers.
func EnvoyArguments(file string, workers int) []string {
	return []string{"-c", file, "--concurrency", strconv.Itoa(workers), "--log-level", "error", "--disable-hot-restart"}
}

func writeEnvoy(directory, configuration string, workers int) ([]string, []string, error) {
	file := filepath.Join(directory, "envoy.yaml")
	return EnvoyArguments(file, workers), nil, os.WriteFile(file, []byte(configuration), 0o644)
}

func bareConfiguration(setup *Setup) string {
	var listeners, clusters strings.Builder
	c := setup.Certificates
	for _, port := range []struct {
		name, tls string
		listen    int
	}{
		{"http", "", HTTP}, {"http2", "", HTTP2},
		{"https", fmt.Sprintf(envoyTLS, c.Server.ChainFile, c.Server.KeyFile), HTTPS},
		{"https-rsa", fmt.Sprintf(envoyTLS, c.RSA.ChainFile, c.RSA.KeyFile), HTTPSRSA},
	} {
		fmt.Fprintf(&listeners, envoyHTTP, port.name, port.listen, port.tls)
	}
	cluster := func(name, extra string, port int) {
		fmt.Fprintf(&clusters, envoyCluster, name, unlimited, port, extra)
	}
	for _, port := range []struct {
		name            string
		listen, forward int
	}{
		{"tcp-http", TCPHTTP, backend.HTTP}, {"tcp-echo", TCPEcho, backend.Echo},
		{"tcp-sink", TCPSink, backend.Sink}, {"tcp-source", TCPSource, backend.Source},
	} {
		fmt.Fprintf(&listeners, envoyTCP, port.name, port.listen)
		cluster(port.name, "", port.forward)
	}
	cluster("http", "", backend.HTTP)
	cluster("grpc", envoyToHTTP2, backend.GRPC)
	cluster("http2", envoyToHTTP2, backend.HTTP2)
	cluster("secure", fmt.Sprintf(envoyToTLS, SecureBackend, c.Client.ChainFile, c.Client.KeyFile, c.Authority.ChainFile), backend.MutualTLS)
	return fmt.Sprintf("admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}\nstatic_resources:\n  listeners:\n%s  clusters:\n%s",
		adminPort, listeners.String(), clusters.String())
}

const envoyToHTTP2 = `    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
`

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

const envoyTLS = `
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
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
            virtual_hosts:
            - name: bench
              domains: [bench.test]
              routes:
              - {match: {prefix: /bench.Responder/}, route: {cluster: grpc, timeout: 0s}}
              - {match: {prefix: /http2/}, route: {cluster: http2, timeout: 0s}}
              - {match: {prefix: /secure/}, route: {cluster: secure, timeout: 0s}}
              - {match: {prefix: /}, route: {cluster: http, timeout: 0s}}
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
%[4]s`
