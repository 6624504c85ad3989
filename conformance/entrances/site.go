// Package entrances shows that clients other than Selvedge reach services of other edges: a stock Envoy, configured as istiod configures
// it for imports, by mutual TLS and by HBONE, and Istio's own client of HBONE. Edges a, b and c and a hub are plain processes on one machine.
package entrances

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/certificate"
	"selvedge.dev/conformance/cluster"
)

const (
	hub = "127.0.0.1:7443"
	// gatewayIdentity is edge a's in its mesh, clientIdentity that of Envoy.
	gatewayIdentity = "spiffe://cluster.local/ns/istio-system/sa/selvedge"
	clientIdentity  = "spiffe://cluster.local/ns/shop/sa/web"
)

// Site is all that runs.
type Site struct {
	directory, selvedge string
	edges               map[string]*machine.Process
	others              []*machine.Process
	given               addresses
	client              *tls.Config
}

// addresses is the file of an edge that says what stands for what.
type addresses struct {
	Edges    map[string]string `json:"edges"`
	Services map[string]int    `json:"services"`
}

// Start starts it; everything it writes is in the directory.
func Start(c *cluster.Cluster, directory string) (*Site, error) {
	selvedge, err := c.Selvedge()
	if err != nil {
		return nil, err
	}
	envoy, err := c.Envoy()
	if err != nil {
		return nil, err
	}
	s := &Site{directory: directory, selvedge: selvedge, edges: map[string]*machine.Process{}}
	if err := errors.Join(s.certificates(), s.overlay()); err != nil {
		s.Stop()
		return nil, err
	}
	if err := s.envoy(envoy); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends everything.
func (s *Site) Stop() {
	for _, process := range s.edges {
		process.Kill()
	}
	for _, process := range s.others {
		process.Kill()
	}
}

func (s *Site) file(name string) string { return filepath.Join(s.directory, name) }

// certificates of the mesh, for edge a and for clients.
func (s *Site) certificates() error {
	authorities, err := certificate.Load(s.file("authorities"))
	if err != nil {
		return err
	}
	// The file holds the key as well.
	authority, err := os.ReadFile(s.file("authorities/servers.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	for block, rest := pem.Decode(authority); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			root := pem.EncodeToMemory(block)
			roots.AppendCertsFromPEM(root)
			if err := os.WriteFile(s.file("root.pem"), root, 0o644); err != nil {
				return err
			}
		}
	}
	for name, identity := range map[string]string{"gateway": gatewayIdentity, "client": clientIdentity} {
		chain, key, err := authorities.Issue(certificate.Spec{URIs: []string{identity}})
		if err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(s.file(name+".pem"), chain, 0o644), os.WriteFile(s.file(name+".key"), key, 0o600)); err != nil {
			return err
		}
	}
	pair, err := tls.LoadX509KeyPair(s.file("client.pem"), s.file("client.key"))
	if err != nil {
		return err
	}
	s.client = certificate.Workload(pair, roots, gatewayIdentity)
	s.client.NextProtos = []string{"h2"}
	return nil
}

// overlay starts a hub, edges b and c with their backends, and edge a that takes what they offer.
func (s *Site) overlay() error {
	if err := s.start("hub", "hub", "--state", s.file("hub"), "--listen", hub, "--advertise", hub, "--name", "hub1", "--overlay", "mesh.test"); err != nil {
		return err
	}
	for number, name := range []string{"b", "c"} {
		first := 7100 + 100*number
		if err := errors.Join(serveWord(first, name), serveHTTP2(first+1, name), serveEcho(first+2)); err != nil {
			return err
		}
		services := serviceEntry("web", "HTTP", 80, first) + serviceEntry("grpc", "GRPC", 81, first+1) + serviceEntry("echo", "TCP", 90, first+2)
		if err := s.edge(name, "export: [{hosts: [\"*\"]}]\n", map[string]string{"services.yaml": services}); err != nil {
			return err
		}
	}
	config := "import: [{hosts: [\"*\"]}]\nimportAddresses: 127.97.0.0/24\nterminate:\n" +
		"  certificate: " + s.file("gateway.pem") + "\n  key: " + s.file("gateway.key") + "\n  authorities: " + s.file("root.pem") + "\n"
	if err := s.edge("a", config, nil); err != nil {
		return err
	}
	return s.edges["a"].Await(patience, 50*time.Millisecond, s.isReady)
}

// isReady says whether edge a lets clients in, for every service of both edges.
func (s *Site) isReady() error {
	text, err := os.ReadFile(s.file("a/state/addresses.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &s.given); err != nil {
		return err
	}
	for _, edge := range []string{"b", "c"} {
		for service, port := range map[string]int{"web": 80, "grpc": 81, "echo": 90} {
			connection, err := tls.Dial("tcp", s.target(edge, service, port), s.client)
			if err != nil {
				return err
			}
			_ = connection.Close()
		}
	}
	return nil
}

// address stands for an edge.
func (s *Site) address(edge string) string { return s.given.Edges[edge] }

// target stands for a port of a service of an edge.
func (s *Site) target(edge, service string, port int) string {
	return net.JoinHostPort(s.address(edge), fmt.Sprint(s.targetPort(service, port)))
}

func (s *Site) targetPort(service string, port int) int {
	return s.given.Services[fmt.Sprintf("%s.shop.example:%d", service, port)]
}

// edge joins and starts an edge with these files in its folder.
func (s *Site) edge(name, config string, files map[string]string) error {
	state, folder := s.file(name+"/state"), s.file(name+"/config")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	token, err := s.token(name)
	if err != nil {
		return err
	}
	join := exec.Command(s.selvedge, "join", "-", "--state", state)
	join.Stdin = strings.NewReader(token)
	if output, err := join.CombinedOutput(); err != nil {
		return fmt.Errorf("join: %w: %s", err, output)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(state, "edge.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	process, err := s.process(name, "run", "--config", folder, "--state", state, "--admin-port", "0", "--readiness-port", "0", "--concurrency", "2")
	s.edges[name] = process
	return err
}

// token waits for the hub.
func (s *Site) token(edge string) (string, error) {
	deadline := time.Now().Add(patience)
	for {
		create := exec.Command(s.selvedge, "token", "create", "--tenant", "acme", "--edge", edge, "--state", s.file("hub"))
		token, err := create.Output()
		if err == nil {
			return string(token), nil
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("no token: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *Site) process(name string, arguments ...string) (*machine.Process, error) {
	return machine.Start(machine.Command(machine.AnyCore, s.selvedge, arguments...), s.file(name+".log"))
}

func (s *Site) start(name string, arguments ...string) error {
	process, err := s.process(name, arguments...)
	if err == nil {
		s.others = append(s.others, process)
	}
	return err
}

func serviceEntry(name, protocol string, port, backend int) string {
	return fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s, namespace: shop}
spec:
  hosts: [%[1]s.shop.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: %[3]d, name: %[2]s-port, protocol: %[4]s}]
  endpoints: [{address: 127.0.0.1, ports: {%[2]s-port: %[5]d}}]
`, name, strings.ToLower(protocol), port, protocol, backend)
}
