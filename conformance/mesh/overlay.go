package mesh

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/kubelet"
)

const (
	// tenant owns all edges.
	tenant = "acme"
	// hubPort is open on the node.
	hubPort = 7443
	// startLimit bounds the start of a hub or an edge.
	startLimit = 20 * time.Second
)

// overlay is a hub, and the edges that are no part of the cluster.
type overlay struct {
	binary, directory string
	hub               *machine.Process
	processes         []*machine.Process
}

// edge is one that serves a folder.
type edge struct {
	name, locality, folder, state string
	// port is that of its Gateway, if it has one, admin its admin interface.
	port, admin int
	process     *machine.Process
}

func (o *overlay) start(name string, arguments ...string) (*machine.Process, error) {
	process, err := machine.Start(machine.Command(machine.AnyCore, o.binary, arguments...), o.log(name))
	if err == nil {
		o.processes = append(o.processes, process)
	}
	return process, err
}

func (o *overlay) log(name string) string { return filepath.Join(o.directory, name+".log") }

// stop ends everything, edges before the hub.
func (o *overlay) stop() {
	for i := len(o.processes) - 1; i >= 0; i-- {
		o.processes[i].Stop()
	}
}

// startHub founds the overlay.
func (o *overlay) startHub() error {
	address := fmt.Sprintf("%s:%d", kubelet.NodeIP, hubPort)
	var err error
	o.hub, err = o.start("hub", "hub", "--name=h1", "--overlay=mesh.test", "--listen="+address, "--advertise="+address, "--state="+o.state("hub"))
	if err != nil {
		return err
	}
	return o.hub.Await(startLimit, 50*time.Millisecond, func() error {
		_, err := o.token("probe")
		return err
	})
}

func (o *overlay) state(name string) string { return filepath.Join(o.directory, name) }

// token lets an edge join once.
func (o *overlay) token(edge string) (string, error) {
	output, err := exec.Command(o.binary, "token", "create", "--tenant="+tenant, "--edge="+edge, "--state="+o.state("hub")).Output()
	return strings.TrimSpace(string(output)), err
}

// join makes an edge with a folder to serve, and starts it.
func (o *overlay) join(edge *edge, edgeConfig string, files map[string]string) error {
	token, err := o.token(edge.name)
	if err != nil {
		return err
	}
	edge.state, edge.folder = o.state(edge.name), o.state(edge.name+"-config")
	join := exec.Command(o.binary, "join", "-", "--state="+edge.state)
	join.Stdin = strings.NewReader(token)
	if output, err := join.CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot join: %w: %s", edge.name, err, output)
	}
	if err := os.MkdirAll(edge.folder, 0o755); err != nil {
		return err
	}
	files["edge.yaml"] = edgeConfig
	for name, text := range files {
		directory := edge.folder
		if name == "edge.yaml" {
			directory = edge.state
		}
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return o.run(edge)
}

// run starts an edge that has joined.
func (o *overlay) run(edge *edge) (err error) {
	edge.process, err = o.start(edge.name, "run", "--config="+edge.folder, "--state="+edge.state, "--locality="+edge.locality, "--concurrency=1",
		fmt.Sprintf("--admin-port=%d", edge.admin), "--readiness-port=0")
	if err != nil {
		return err
	}
	return edge.process.Await(startLimit, 50*time.Millisecond, func() error {
		_, err := ask(fmt.Sprintf("127.0.0.1:%d", edge.admin), "/ready", "")
		return err
	})
}

// service is a ServiceEntry in the folder of an edge, whose backend is a port of the node.
func service(name string, port int) string { return serviceOf(name, "HTTP", port) }

func serviceOf(name, protocol string, port int) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s, namespace: shop}
spec:
  hosts: [%[1]s.shop.global]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: web, protocol: %[2]s}]
  endpoints: [{address: 127.0.0.1, ports: {web: %[3]d}}]
`, name, protocol, port)
}

// entrance is a Gateway in the folder of an edge that leads to a host.
func entrance(port int, host string) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec:
  selector: {istio: edge}
  servers:
  - port: {number: %d, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [web]
  http:
  - route: [{destination: {host: %s}}]
`, port, host)
}
