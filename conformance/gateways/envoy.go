package gateways

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeEnvoy writes a bootstrap with the settings that istiod sends to a gateway.
func writeEnvoy(g *Gateway, directory string, pair *keyPair) ([]string, error) {
	var text strings.Builder
	text.WriteString(envoyRuntime + "static_resources:\n  listeners:\n")
	fmt.Fprintf(&text, envoyListener, "http", g.HTTP, Host, HTTP2Host, "")
	fmt.Fprintf(&text, envoyListener, "https", g.HTTPS, Host, HTTP2Host, fmt.Sprintf(envoyTLS, pair.chain, pair.key))
	text.WriteString("  clusters:\n")
	fmt.Fprintf(&text, envoyCluster, "http", g.Backend, "{http_protocol_options: {}}")
	fmt.Fprintf(&text, envoyCluster, "http2", g.HTTP2Backend, "{http2_protocol_options: {}}")
	file := filepath.Join(directory, "envoy.yaml")
	return []string{"-c", file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"},
		os.WriteFile(file, []byte(text.String()), 0o644)
}

// envoyRuntime is what the bootstrap of Istio's gateways sets: fragments are cut off.
const envoyRuntime = `layered_runtime:
  layers: [{name: istio, static_layer: {"envoy.reloadable_features.http_reject_path_with_fragment": false}}]
`

// The time until Envoy closes a connection after an error is a second, in which it reads nothing: one
// tenth of that is enough here.
const envoyListener = `
  - name: %[1]s
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: %[1]s
          server_name: istio-envoy
          use_remote_address: true
          normalize_path: true
          path_with_escaped_slashes_action: KEEP_UNCHANGED
          forward_client_cert_details: SANITIZE_SET
          stream_idle_timeout: 0s
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
