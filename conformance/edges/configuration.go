package edges

import (
	"fmt"
	"strings"
)

// Ports of gateways.
const (
	httpPort = 8080
	// farPort leads by TCP to the service of another edge, streamPort to its port of streams, ownStreamPort to that of the
	// edge itself.
	farPort       = 9090
	streamPort    = 9091
	ownStreamPort = 9092
)

// firstBackend is the port of a service's first backend; those of others follow.
const firstBackend = 9000

// streamBackend is the port of its backend for streams.
const streamBackend = 9500

const offersAndTakes = "export: [{labels: {offered: 'yes'}}]\nimport: [{hosts: ['*']}]\n"

const gatewayYAML = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: edge}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 9090, name: tcp-far, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 9091, name: tcp-streams, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 9092, name: tcp-own-streams, protocol: TCP}, hosts: ["*"]}
`

// Hosts of the service, on the edge that has it and on others.
const (
	ownHost = "ratings.shop.svc.cluster.local"
	farHost = "ratings.shop.global"
)

// service of an edge, as Kubernetes has it.
type service struct {
	name string
	// kept says that it is not offered to other edges.
	kept bool
	// address of its backends, and their ports.
	address string
	ports   []int
	// onlyHTTP leaves out its ports of TCP.
	onlyHTTP bool
}

// ratings is the service, with backends at these ports.
func ratings(ports ...int) service {
	return service{name: "ratings", address: "10.42.1.1", ports: ports}
}

// yaml has each backend in a slice of its own, because a slice has one port.
func (s service) yaml() string {
	var text strings.Builder
	fmt.Fprintf(&text, `apiVersion: v1
kind: Service
metadata: {name: %s, namespace: shop, labels: {offered: "%s"}}
spec:
  clusterIP: 10.96.1.1
  ports: [{name: http, port: 80}%s]
`, s.name, map[bool]string{false: "yes", true: "no"}[s.kept], s.ifTCP(", {name: tcp, port: 90}, {name: tcp-streams, port: 91}"))
	for _, port := range s.ports {
		fmt.Fprintf(&text, `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-%[2]d, namespace: shop, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
endpoints: [{addresses: [%[3]s], conditions: {ready: true}}]
ports: [{name: http, port: %[2]d}%[4]s]
`, s.name, port, s.address, s.ifTCP(fmt.Sprintf(", {name: tcp, port: %d}, {name: tcp-streams, port: %d}", port, streamBackend)))
	}
	return text.String()
}

func (s service) ifTCP(text string) string {
	if s.onlyHTTP {
		return ""
	}
	return text
}

// anyEdgeYAML leads all calls to whatever endpoint the service of other edges has, and to another one when that does not answer; an edge that
// does not answer three times is left out for a while.
const anyEdgeYAML = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ["*"]
  gateways: [web]
  http: [{route: [{destination: {host: ` + farHost + `, port: {number: 80}}}], retries: {attempts: 3, perTryTimeout: 1s, retryOn: 'connect-failure,refused-stream,reset'}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: edge}
spec:
  host: ` + farHost + `
  trafficPolicy: {outlierDetection: {consecutiveGatewayErrors: 3, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 50}}
`

// routesYAML leads /at/EDGE to the service of that edge and all else to a share of each edge; TCP to the edge called far.
func routesYAML(own string, shares []share, far string) string {
	var matches, weighted, subsets strings.Builder
	for _, one := range shares {
		destination := fmt.Sprintf("host: %s, subset: %s", farHost, one.edge)
		if one.edge == own {
			destination = "host: " + ownHost
		} else {
			fmt.Fprintf(&subsets, "  - {name: %[1]s, labels: {edge: %[1]s}}\n", one.edge)
		}
		fmt.Fprintf(&matches, "  - match: [{uri: {prefix: /at/%s/}}]\n    route: [{destination: {%s, port: {number: 80}}}]\n", one.edge, destination)
		fmt.Fprintf(&weighted, "    - {destination: {%s, port: {number: 80}}, weight: %d}\n", destination, one.percent)
	}
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ["*"]
  gateways: [web]
  http:
%s  - route:
%s  tcp:
  - {match: [{port: %d}], route: [{destination: {host: %s, subset: %s, port: {number: 90}}}]}
  - {match: [{port: %d}], route: [{destination: {host: %s, subset: %s, port: {number: 91}}}]}
  - {match: [{port: %d}], route: [{destination: {host: %s, port: {number: 91}}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: edge}
spec:
  host: %s
  subsets:
%s`, matches.String(), weighted.String(), farPort, farHost, far, streamPort, farHost, far, ownStreamPort, ownHost, farHost, subsets.String())
}

// share of an edge.
type share struct {
	edge    string
	percent int
}
