package peer

import (
	"fmt"
	"path/filepath"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"selvedge.dev/conformance/bench/ads"
)

// ControlPlanePort is istiod's plaintext port.
const ControlPlanePort = 15010

// The secrets that the configuration names.
const (
	serverName = "bench-certificate"
	rsaName    = "bench-certificate-rsa"
	clientName = "bench-client"
)

// captured names the file of what istiod sends to a gateway program.
func captured(setup *Setup, program string) string {
	return filepath.Join(setup.Bench, "istio", program+".json")
}

func envoyIstio() *Peer {
	return &Peer{
		Name: "envoy-istio", Title: "Envoy, Istio's", program: envoyProgram, version: []string{"--version"}, HTTPOnly: true,
		Configuration: "`--concurrency 1`, over delta ADS exactly what the real istiod sends for the same folder (`conformance/bench/istio/envoy.json`), with Istio's default text access log to a file on tmpfs. " +
			"A vanilla Envoy lacks `istio.metadata_exchange`, `istio.alpn` and `istio.stats`, so istiod was told to leave these out: a real Istio gateway costs more",
		prepare: func(_ *Setup, directory string, workers int) ([]string, []string, error) {
			return writeEnvoy(directory, EnvoyBootstrap(), workers)
		},
	}
}

// startControlPlane serves what istiod sent to the peers that have a control plane.
func (p *Peer) startControlPlane(setup *Setup) (stop func(), err error) {
	if p.Name != "envoy-istio" && p.Name != "selvedge-istio" {
		return func() {}, nil
	}
	resources, err := ads.Load(captured(setup, p.program))
	if err != nil {
		return nil, err
	}
	server, err := ads.Serve(ControlPlanePort)
	if err != nil {
		return nil, err
	}
	for _, resource := range resources {
		server.Set(resource.Body.TypeUrl, resource)
	}
	if err := serveSecrets(server, setup.Certificates); err != nil {
		server.Stop()
		return nil, err
	}
	return server.Stop, nil
}

// serveSecrets serves the secrets under the names by which istiod's resources ask for them.
func serveSecrets(server *ads.Server, c *Certificates) error {
	const prefix, authority = "kubernetes://", "-cacert"
	for name, certificate := range map[string]*Certificate{serverName: c.Server, rsaName: c.RSA, clientName: c.Client} {
		secret := &tls.Secret{Name: prefix + name, Type: &tls.Secret_TlsCertificate{
			TlsCertificate: &tls.TlsCertificate{CertificateChain: inline(certificate.Chain), PrivateKey: inline(certificate.Key)},
		}}
		if err := server.SetMessage(secret.Name, secret); err != nil {
			return err
		}
	}
	secret := &tls.Secret{Name: prefix + clientName + authority, Type: &tls.Secret_ValidationContext{
		ValidationContext: &tls.CertificateValidationContext{TrustedCa: inline(c.Authority.Chain)},
	}}
	return server.SetMessage(secret.Name, secret)
}

func inline(data []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: data}}
}

// EnvoyBootstrap makes Envoy take everything over delta ADS, with the statistics that Istio's own
// bootstrap keeps.
func EnvoyBootstrap() string { return fmt.Sprintf(adsBootstrap, adminPort, ControlPlanePort) }

const adsBootstrap = `
node: {id: router~127.0.0.1~bench.bench~bench.svc.cluster.local, cluster: bench.bench}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
stats_config:
  use_all_default_tags: false
  stats_matcher:
    inclusion_list:
      patterns:
      - {prefix: cluster_manager}
      - {prefix: listener_manager}
      - {prefix: server}
      - {prefix: cluster.xds-grpc}
      - {suffix: downstream_cx_active}
dynamic_resources:
  lds_config: {ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3}
  cds_config: {ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3}
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{envoy_grpc: {cluster_name: xds-grpc}}]
static_resources:
  clusters:
  - name: xds-grpc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: xds-grpc
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]
`
