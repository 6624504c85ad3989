package entrances

import (
	"fmt"
	"os"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/machine"
)

// Ports of Envoy.
const (
	weightedPort = 8001 + iota
	failoverPort
	http2Port
	wrongIdentityPort
	tunnelPort
	adminPort
)

// envoy starts a stock Envoy with what istiod would send it.
func (s *Site) envoy(program string) error {
	web := func(edge string) string { return s.target(edge, "web", 80) }
	clusters := []string{
		s.cluster("b", gatewayIdentity, "outbound_.80_.b_.web.shop.example", "istio", http1, web("b")),
		s.cluster("c", gatewayIdentity, "outbound_.80_.c_.web.shop.example", "istio", http1, web("c")),
		s.cluster("both", gatewayIdentity, "outbound_.80_._.web.shop.example", "istio", http1, web("b"), web("c")),
		s.cluster("http2", gatewayIdentity, "outbound_.81_._.grpc.shop.example", "istio, h2", http2, s.target("b", "grpc", 81)),
		s.cluster("wrong", clientIdentity, "outbound_.80_._.web.shop.example", "istio", http1, web("b")),
		s.cluster("hbone", gatewayIdentity, "", "h2", http2, s.address("b")+":15008"),
	}
	listeners := []string{
		httpListener(weightedPort, "weighted_clusters: {clusters: [{name: b, weight: 70}, {name: c, weight: 30}]}"),
		httpListener(failoverPort, "cluster: both, retry_policy: "+retries),
		httpListener(http2Port, "cluster: http2"),
		httpListener(wrongIdentityPort, "cluster: wrong"),
		fmt.Sprintf(tunnelListener, tunnelPort, s.target("b", "echo", 90)),
	}
	text := fmt.Sprintf("admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}\n", adminPort) +
		"static_resources:\n  listeners:" + strings.Join(listeners, "") + "  clusters:" + strings.Join(clusters, "")
	if err := os.WriteFile(s.file("envoy.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	command := machine.Command(machine.AnyCore, program, "-c", s.file("envoy.yaml"), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart")
	process, err := machine.Start(command, s.file("envoy.log"))
	if err != nil {
		return err
	}
	s.others = append(s.others, process)
	return process.Await(patience, 50*time.Millisecond, func() error {
		_, err := s.word(weightedPort)
		return err
	})
}

const (
	http1 = "http_protocol_options"
	http2 = "http2_protocol_options"
	// retries are those of a VirtualService that says so; istiod's own do not try a request again that had been sent.
	retries = `{retry_on: "connect-failure,refused-stream,reset,gateway-error", num_retries: 2,
              retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts,
                typed_config: {"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}],
              host_selection_retry_max_attempts: 5}`
)

// cluster is reached by mutual TLS, by who has this identity.
func (s *Site) cluster(name, identity, serverName, protocols, http string, endpoints ...string) string {
	var hosts []string
	for _, endpoint := range endpoints {
		address, port, _ := strings.Cut(endpoint, ":")
		hosts = append(hosts, fmt.Sprintf("{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}", address, port))
	}
	return fmt.Sprintf(clusterText, name, http, strings.Join(hosts, ", "), serverName, protocols,
		s.file("client.pem"), s.file("client.key"), s.file("root.pem"), identity)
}

const clusterText = `
  - name: %[1]s
    type: STATIC
    connect_timeout: 10s
    outlier_detection: {consecutive_5xx: 1, base_ejection_time: 60s, max_ejection_percent: 100}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {%[2]s: {}}
    load_assignment:
      cluster_name: %[1]s
      endpoints: [{lb_endpoints: [%[3]s]}]
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: "%[4]s"
        common_tls_context:
          alpn_protocols: [%[5]s]
          tls_params: {tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}
          tls_certificates: [{certificate_chain: {filename: "%[6]s"}, private_key: {filename: "%[7]s"}}]
          validation_context:
            trusted_ca: {filename: "%[8]s"}
            match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "%[9]s"}}]
`

func httpListener(port int, route string) string {
	return fmt.Sprintf(`
  - name: http-%[1]d
    address: {socket_address: {address: 127.0.0.1, port_value: %[1]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http-%[1]d
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {%[2]s}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`, port, route)
}

const tunnelListener = `
  - name: tunnel
    address: {socket_address: {address: 127.0.0.1, port_value: %[1]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tunnel
          cluster: hbone
          tunneling_config: {hostname: "%[2]s"}
`
