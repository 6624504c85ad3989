package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/backend"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/peer"
)

// startSecureBackend runs the backend that wants a certificate: nginx, which answers with 1 KB by itself.
func startSecureBackend(setup *peer.Setup, core int) (*machine.Process, error) {
	c := setup.Certificates
	file := filepath.Join(setup.Directory, "secure-backend.conf")
	text := fmt.Sprintf(secureConfiguration, setup.Directory, backend.MutualTLS, c.Backend.ChainFile, c.Backend.KeyFile, c.Authority.ChainFile,
		strings.Repeat("x", kilobyte))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	process, err := machine.Start(machine.Command(core, "nginx", "-e", "stderr", "-c", file), filepath.Join(setup.Directory, "secure-backend-output"))
	if err != nil {
		return nil, err
	}
	if err := process.Await(backendStart, 5*time.Millisecond, func() error { return listens(backend.MutualTLS) }); err != nil {
		process.Stop()
		return nil, err
	}
	return process, nil
}

const secureConfiguration = `
daemon off;
master_process off;
user root;
pid %[1]s/secure-backend.pid;
error_log stderr error;
events { worker_connections 4096; multi_accept on; }
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    server {
        listen 127.0.0.1:%[2]d ssl backlog=4096;
        ssl_protocols TLSv1.3;
        ssl_certificate %[3]s;
        ssl_certificate_key %[4]s;
        ssl_client_certificate %[5]s;
        ssl_verify_client on;
        default_type text/plain;
        location / { return 200 "%[6]s"; }
    }
}
`
