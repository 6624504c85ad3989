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

func prepareHAProxy(setup *Setup, directory string) ([]string, []string, error) {
	bundle := filepath.Join(directory, "certificate.pem")
	if err := os.WriteFile(bundle, append(setup.Certificate.Key, setup.Certificate.Chain...), 0o600); err != nil {
		return nil, nil, err
	}
	file := filepath.Join(directory, "haproxy.cfg")
	text := fmt.Sprintf(haproxyConfiguration, HTTP, HTTPS, bundle, backend.HTTP,
		TCPHTTP, backend.HTTP, TCPEcho, backend.Echo, TCPSink, backend.Sink, TCPSource, backend.Source)
	return []string{"-db", "-f", file}, nil, os.WriteFile(file, []byte(text), 0o644)
}

const haproxyConfiguration = `
global
    nbthread 1
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
    bind 127.0.0.1:%[1]d backlog 4096
    bind 127.0.0.1:%[2]d ssl crt %[3]s alpn http/1.1 backlog 4096
    default_backend http
backend http
    server backend 127.0.0.1:%[4]d pool-max-conn 2000
listen tcp-http
    mode tcp
    bind 127.0.0.1:%[5]d backlog 4096
    server backend 127.0.0.1:%[6]d
listen tcp-echo
    mode tcp
    bind 127.0.0.1:%[7]d
    server backend 127.0.0.1:%[8]d
listen tcp-sink
    mode tcp
    bind 127.0.0.1:%[9]d
    server backend 127.0.0.1:%[10]d
listen tcp-source
    mode tcp
    bind 127.0.0.1:%[11]d
    server backend 127.0.0.1:%[12]d
`
