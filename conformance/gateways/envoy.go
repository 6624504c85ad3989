package gateways

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeEnvoy writes a bootstrap with the settings that istiod sends to a gateway.
func writeEnvoy(g *Gateway, directory string, pair *KeyPair) (*launch, error) {
	text := envoyRuntime + "static_resources:\n  listeners:\n" + g.listeners(pair) + "  clusters:\n" + g.clusters()
	file := filepath.Join(directory, "envoy.yaml")
	return &launch{arguments: []string{"-c", file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"}},
		os.WriteFile(file, []byte(text), 0o644)
}

// listeners are Envoy's, as a YAML list.
func (g *Gateway) listeners(pair *KeyPair) string {
	listener := func(name string, port int, tls string) string {
		return fmt.Sprintf(envoyListener, name, port, g.Host, g.HTTP2Host, tls, rows(4, g.ListenerSettings), rows(10, g.ManagerSettings))
	}
	return listener("http", g.HTTP, "") + listener("https", g.HTTPS, fmt.Sprintf(envoyTLS, pair.ChainFile, pair.KeyFile))
}

// rows of YAML at a depth.
func rows(depth int, settings []string) string {
	var text strings.Builder
	for _, setting := range settings {
		text.WriteString("\n" + strings.Repeat(" ", depth) + setting)
	}
	return text.String()
}

// clusters are Envoy's, as a YAML list.
func (g *Gateway) clusters() string {
	return fmt.Sprintf(envoyCluster, "http", g.Backend, "{http_protocol_options: {}}") +
		fmt.Sprintf(envoyCluster, "http2", g.HTTP2Backend, "{http2_protocol_options: {}}")
}

// envoyRuntime is what the bootstrap of Istio's gateways sets: fragments are cut off.
const envoyRuntime = `layered_runtime:
  layers: [{name: istio, static_layer: {"envoy.reloadable_features.http_reject_path_with_fragment": false}}]
`

// The time until Envoy closes a connection after an error is a second, in which it reads nothing: one
// tenth of that is enough here.
const envoyListener = `
  - name: %[1]s%[6]s
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: %[1]s%[7]s
          server_name: istio-envoy
          use_remote_address: true
          normalize_path: true
          path_with_escaped_slashes_action: KEEP_UNCHANGED
          forward_client_cert_details: SANITIZE_SET
          delayed_close_timeout: 0.1s
          proxy_100_continue: true
          http_protocol_options: {}
          upgrade_configs: [{upgrade_type: websocket}]
          route_config:
            ignore_port_in_host_matching: true
            virtual_hosts:
            - {name: http, domains: ["%[3]s"], routes: [{match: {prefix: /}, route: {cluster: http, timeout: 0s}}]}
            - {name: http2, domains: ["%[4]s"], routes: [{match: {prefix: /}, route: {cluster: http2, timeout: 0s}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}%[5]s
`

const envoyTLS = `
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates: [{certificate_chain: {filename: %s}, private_key: {filename: %s}}]`

const envoyCluster = `
  - name: %[1]s
    type: STATIC
    connect_timeout: 10s
    circuit_breakers: {thresholds: [{max_connections: 4294967295, max_pending_requests: 4294967295, max_requests: 4294967295, max_retries: 4294967295}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: %[3]s
    load_assignment:
      cluster_name: %[1]s
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}}}]}]
`
