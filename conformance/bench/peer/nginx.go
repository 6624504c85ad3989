package peer

import (
	"fmt"
	"os"
	"path/filepath"

	"selvedge.dev/conformance/bench/backend"
)

func nginx() *Peer {
	return &Peer{
		Name: "nginx", Title: "nginx", program: "nginx", version: []string{"-v"},
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

func nginxWith(edits string) func(*Setup, string) ([]string, []string, error) {
	return func(setup *Setup, directory string) ([]string, []string, error) {
		file := filepath.Join(directory, "nginx.conf")
		text := fmt.Sprintf(nginxConfiguration, directory, backend.HTTP, HTTP, HTTPS,
			setup.Certificate.ChainFile, setup.Certificate.KeyFile, edits,
			TCPHTTP, backend.HTTP, TCPEcho, backend.Echo, TCPSink, backend.Sink, TCPSource, backend.Source)
		return []string{"-e", "stderr", "-c", file}, nil, os.WriteFile(file, []byte(text), 0o644)
	}
}

const nginxConfiguration = `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes 1;
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
    upstream backend {
        server 127.0.0.1:%[2]d;
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 3600s;
    }
    server {
        listen 127.0.0.1:%[3]d backlog=4096;
        listen 127.0.0.1:%[4]d ssl backlog=4096;
        server_name bench.test;
        ssl_certificate %[5]s;
        ssl_certificate_key %[6]s;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header connection "";
            proxy_set_header host $http_host;%[7]s
        }
    }
}
stream {
    tcp_nodelay on;
    server { listen 127.0.0.1:%[8]d backlog=4096; proxy_pass 127.0.0.1:%[9]d; }
    server { listen 127.0.0.1:%[10]d backlog=4096; proxy_pass 127.0.0.1:%[11]d; }
    server { listen 127.0.0.1:%[12]d backlog=4096; proxy_pass 127.0.0.1:%[13]d; }
    server { listen 127.0.0.1:%[14]d backlog=4096; proxy_pass 127.0.0.1:%[15]d; }
}
`
