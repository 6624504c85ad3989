package gateways

import (
	"fmt"
	"os"
	"path/filepath"
)

// writeFolder writes what `selvedge run` serves.
func writeFolder(g *Gateway, directory string, pair *KeyPair) (*launch, error) {
	folder := filepath.Join(directory, "config")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(folderText, g.HTTP, g.HTTPS, pair.ChainFile, pair.KeyFile, g.Host, g.HTTP2Host, g.Backend, g.HTTP2Backend)
	return &launch{arguments: []string{"run", "--config", folder, "--concurrency", "1", "--log-level", "warn"}},
		os.WriteFile(filepath.Join(folder, "gateway.yaml"), []byte(text), 0o644)
}

const folderText = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: hostile, namespace: edge}
spec:
  selector: {istio: edge}
  servers:
  - port: {number: %[1]d, name: http, protocol: HTTP}
    hosts: ["*"]
  - port: {number: %[2]d, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, serverCertificate: %[3]s, privateKey: %[4]s}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hostile, namespace: edge}
spec:
  hosts: ["%[5]s"]
  gateways: [hostile]
  http:
  - route: [{destination: {host: backend.edge.internal, port: {number: 80}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: http2, namespace: edge}
spec:
  hosts: ["%[6]s"]
  gateways: [hostile]
  http:
  - route: [{destination: {host: backend.edge.internal, port: {number: 81}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: edge}
spec:
  hosts: [backend.edge.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 81, name: http2, protocol: HTTP2}
  endpoints:
  - {address: 127.0.0.1, ports: {http: %[7]d, http2: %[8]d}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: edge}
spec:
  host: backend.edge.internal
  trafficPolicy:
    tls: {mode: DISABLE}
`
