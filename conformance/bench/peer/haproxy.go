package peer

import (
	"fmt"
	"os"
	"path/filepath"

	"selvedge.dev/conformance/bench/backend"
)

func haproxy() *Peer {
	return &Peer{
		Name: "haproxy", Title: "HAProxy", program: "haproxy", version: []string{"-v"},
		Configuration: "`nbthread 1`, `http-reuse always`, `pool-max-conn 2000`, no log",
		prepare:       prepareHAProxy,
	}
}

func prepareHAProxy(setup *Setup, directory string, workers int) ([]string, []string, error) {
	c := setup.Certificates
	file := filepath.Join(directory, "haproxy.cfg")
	text := fmt.Sprintf(haproxyConfiguration, c.Server.BundleFile, c.RSA.BundleFile, backend.HTTP, backend.GRPC, backend.HTTP2,
		backend.MutualTLS, c.Client.BundleFile, c.Authority.ChainFile, SecureBackend, workers)
	for _, port := range []struct{ listen, forward int }{
		{TCPHTTP, backend.HTTP}, {TCPEcho, backend.Echo}, {TCPSink, backend.Sink}, {TCPSource, backend.Source},
	} {
		text += fmt.Sprintf(haproxyTCP, port.listen, port.forward)
	}
	return []string{"-db", "-f", file}, nil, os.WriteFile(file, []byte(text), 0o644)
}

const haproxyConfiguration = `
global
    nbthread %[10]d
    maxconn 9500
    tune.ssl.default-dh-param 2048
defaults
    mode http
    maxconn 9500
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    http-reuse always
frontend http
    bind 127.0.0.1:8080 backlog 4096
    bind 127.0.0.1:8081 backlog 4096
    bind 127.0.0.1:8443 ssl crt %[1]s alpn h2,http/1.1 backlog 4096
    bind 127.0.0.1:8444 ssl crt %[2]s alpn h2,http/1.1 backlog 4096
    use_backend grpc if { path_beg /bench.Responder/ }
    use_backend http2 if { path_beg /http2/ }
    use_backend secure if { path_beg /secure/ }
    default_backend http
backend http
    server backend 127.0.0.1:%[3]d pool-max-conn 2000
backend grpc
    server backend 127.0.0.1:%[4]d proto h2 pool-max-conn 2000
backend http2
    server backend 127.0.0.1:%[5]d proto h2 pool-max-conn 2000
backend secure
    server backend 127.0.0.1:%[6]d ssl crt %[7]s verify required ca-file %[8]s sni str(%[9]s) pool-max-conn 2000
`

const haproxyTCP = `listen tcp-%[1]d
    mode tcp
    bind 127.0.0.1:%[1]d backlog 4096
    server backend 127.0.0.1:%[2]d
`
