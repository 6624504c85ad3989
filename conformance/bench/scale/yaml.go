package scale

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"selvedge.dev/conformance/bench/backend"
	"selvedge.dev/conformance/bench/peer"
)

// perFile is how many services one file describes.
const perFile = 500

// selvedgeFromYAML gives Selvedge a folder with a ServiceEntry and a VirtualService for each service.
func selvedgeFromYAML(setup *peer.Setup, directory string, size int) (*prepared, error) {
	folder := filepath.Join(directory, "config")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	for first := 0; first < size; first += perFile {
		var text strings.Builder
		if first == 0 {
			fmt.Fprintf(&text, gatewayYAML, peer.HTTP)
		}
		for number := first; number < min(first+perFile, size); number++ {
			fmt.Fprintf(&text, serviceYAML, number, backend.HTTP)
			if number != changed(size) {
				fmt.Fprintf(&text, virtualServiceYAML, number, hostName(number), "{}")
			}
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("services-%d.yaml", first)), []byte(text.String()), 0o644); err != nil {
			return nil, err
		}
	}
	// The service that changes has a file of its own, moved into place so that no half of it is read.
	write := func(headers string) error {
		file := filepath.Join(folder, "changed.yaml")
		text := fmt.Sprintf(virtualServiceYAML, changed(size), hostName(changed(size)), headers)
		if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	}
	change := func(generation int) error {
		return write(fmt.Sprintf("{response: {set: {%s: \"%d\"}}}", generationHeader, generation))
	}
	added := 0
	add := func() error {
		number := size + added
		added++
		text := fmt.Sprintf(serviceYAML, number, backend.HTTP) + fmt.Sprintf(virtualServiceYAML, number, hostName(number), "{}")
		file := filepath.Join(folder, fmt.Sprintf("added-%d.yaml", number))
		return errors.Join(os.WriteFile(file+".new", []byte(text), 0o644), os.Rename(file+".new", file))
	}
	arguments := []string{"run", "--config", folder, "--concurrency", "1", "--log-level", "warn"}
	return &prepared{program: setup.Selvedge, arguments: arguments, change: change, add: add, stop: func() {}}, write("{}")
}

const gatewayYAML = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bench, namespace: bench}
spec:
  selector: {istio: bench}
  servers: [{port: {number: %d, name: http, protocol: HTTP}, hosts: ["*"]}]
`

const serviceYAML = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: svc-%[1]d, namespace: bench}
spec:
  hosts: [svc-%[1]d.bench.internal]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, targetPort: %[2]d, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
`

const virtualServiceYAML = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: svc-%[1]d, namespace: bench}
spec:
  hosts: [%[2]s]
  gateways: [bench]
  http: [{headers: %[3]s, route: [{destination: {host: svc-%[1]d.bench.internal, port: {number: 80}}}]}]
`
