package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"selvedge.dev/conformance/bench/backend"
)

// NginxName is the name of the peer whose rates others are offered.
const NginxName = "nginx"

func nginx() *Peer {
	return &Peer{
		Name: NginxName, Title: "nginx", program: "nginx", version: []string{"-v"},
		Configuration: "`worker_processes 1`, upstream `keepalive 1024`, no request limit per connection on either side, `multi_accept on`, no access log, TCP by the stream module",
		prepare:       nginxWith(""),
	}
}

// nginxEdits does to headers what Istio's configuration makes a gateway do.
func nginxEdits() *Peer {
	return &Peer{
		Name: "nginx-edits", Title: "nginx, same header edits", program: "nginx", version: []string{"-v"}, HTTPOnly: true,
		Configuration: "the same, and the header edits that Istio's configuration asks for: five request headers set, one response header added; no access log",
		prepare: nginxWith(`
    proxy_set_header x-forwarded-for $proxy_add_x_forwarded_for;
    proxy_set_header x-forwarded-proto $scheme;
    proxy_set_header x-request-id $request_id;
    proxy_set_header x-envoy-attempt-count 1;
    proxy_set_header x-envoy-decorator-operation backend.bench.internal:7001/*;
    proxy_set_header x-forwarded-client-cert "";
    add_header x-envoy-upstream-service-time $upstream_header_time;`),
	}
}

func nginxWith(edits string) func(*Setup, string, int) ([]string, []string, error) {
	return func(setup *Setup, directory string, workers int) ([]string, []string, error) {
		c := setup.Certificates
		file := filepath.Join(directory, "nginx.conf")
		text := fmt.Sprintf(nginxConfiguration, directory, backend.HTTP, backend.GRPC, backend.HTTP2, backend.MutualTLS,
			c.Server.ChainFile, c.Server.KeyFile, c.RSA.ChainFile, c.RSA.KeyFile, workers)
		locations := fmt.Sprintf(nginxLocations, edits, strings.ReplaceAll(edits, "proxy_set", "grpc_set"),
			c.Client.ChainFile, c.Client.KeyFile, c.Authority.ChainFile, SecureBackend)
		text += "stream {\n    tcp_nodelay on;\n"
		for _, port := range []struct{ listen, forward int }{
			{TCPHTTP, backend.HTTP}, {TCPEcho, backend.Echo}, {TCPSink, backend.Sink}, {TCPSource, backend.Source},
		} {
			text += fmt.Sprintf("    server { listen 127.0.0.1:%d backlog=4096; proxy_pass 127.0.0.1:%d; }\n", port.listen, port.forward)
		}
		return []string{"-e", "stderr", "-c", file}, nil, errors.Join(
			os.WriteFile(file, []byte(text+"}\n"), 0o644),
			os.WriteFile(filepath.Join(directory, "locations"), []byte(locations), 0o644),
		)
	}
}

const nginxConfiguration = `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes %[10]d;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 19900; multi_accept on; }
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    tcp_nodelay on;
    upstream backend { server 127.0.0.1:%[2]d; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 3600s; }
    upstream grpc { server 127.0.0.1:%[3]d; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 3600s; }
    upstream http2 { server 127.0.0.1:%[4]d; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 3600s; }
    upstream secure { server 127.0.0.1:%[5]d; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 3600s; }
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:8080 backlog=4096;
        listen 127.0.0.1:8081 http2 backlog=4096;
        listen 127.0.0.1:8443 ssl http2 backlog=4096;
        server_name bench.test;
        ssl_certificate %[6]s;
        ssl_certificate_key %[7]s;
        include %[1]s/locations;
    }
    server {
        listen 127.0.0.1:8444 ssl http2 backlog=4096;
        server_name bench.test;
        ssl_certificate %[8]s;
        ssl_certificate_key %[9]s;
        include %[1]s/locations;
    }
}
`

const nginxLocations = `
location / {
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header connection "";
    proxy_set_header host $http_host;%[1]s
}
location /bench.Responder/ {
    grpc_pass grpc://grpc;%[2]s
}
location /http2/ {
    grpc_pass grpc://http2;%[2]s
}
location /secure/ {
    proxy_pass https://secure;
    proxy_http_version 1.1;
    proxy_set_header connection "";
    proxy_set_header host $http_host;%[1]s
    proxy_ssl_certificate %[3]s;
    proxy_ssl_certificate_key %[4]s;
    proxy_ssl_trusted_certificate %[5]s;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_server_name on;
    proxy_ssl_name %[6]s;
}
`
