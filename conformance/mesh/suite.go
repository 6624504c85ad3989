// Package mesh has an edge in a cluster, whose gateway takes its configuration from istiod, and edges that serve folders,
// behind one hub: what istiod makes of services of other edges, and what becomes of the objects that stand for them.
package mesh

import (
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/kubelet"
)

//go:embed objects/*.yaml
var objects embed.FS

const (
	// applyLimit bounds one wait for the API server and istiod's webhooks.
	applyLimit = 20 * time.Second
	// readyLimit bounds the start of a gateway.
	readyLimit = 60 * time.Second
	// arriveLimit bounds the way of a change.
	arriveLimit = 20 * time.Second
	// near is a zone beside that of the node, in the same region.
	near = kubelet.Region + "/beside"
)

// Suite runs the checks on a cluster that is up.
type Suite struct {
	// Cluster is where the gateway runs; the suite must be inside its node's namespace.
	Cluster *cluster.Cluster
	// Output is told how each check went.
	Output io.Writer
	// Names are parts of the names of checks that are wanted; all of them, if there are none.
	Names []string

	clients *cluster.Clients
	overlay overlay
	// gateways serve the same: the first one is the edge's.
	gateways []gateway
	// b and c are edges outside of the cluster with the same services. d believes nobody who speaks for the cluster's trust domain.
	b, c, d edge
	// behindB and behindC answer for them.
	behindB, behindC *backend
}

// Run sets everything up and makes all checks. They follow each other: each leaves things as it found them.
func (s *Suite) Run(ctx context.Context) (passed, failed int, err error) {
	// What is started here ends with the thread that started it: no other work may use up this one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer s.overlay.stop()
	if err := s.setUp(ctx); err != nil {
		return 0, 0, err
	}
	for _, check := range checks {
		isWanted := func(part string) bool { return strings.Contains(check.name, part) }
		if len(s.Names) > 0 && !slices.ContainsFunc(s.Names, isWanted) {
			continue
		}
		started := time.Now()
		figure, err := check.run(s, ctx)
		state := "ok      " + figure
		if err != nil {
			state = "FAILED  " + err.Error()
			failed++
		} else {
			passed++
		}
		_, _ = fmt.Fprintf(s.Output, "%-60s %5.1f s  %s\n", check.name, time.Since(started).Seconds(), state)
	}
	return passed, failed, nil
}

func (s *Suite) setUp(ctx context.Context) (err error) {
	if s.clients, err = s.Cluster.Clients(); err != nil {
		return err
	}
	s.overlay.directory = filepath.Join(s.Cluster.RunDir(), "overlay")
	if s.overlay.binary, err = s.Cluster.Selvedge(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.overlay.directory, 0o755); err != nil {
		return err
	}
	if err := s.overlay.startHub(); err != nil {
		return err
	}
	if err := s.startBackends(); err != nil {
		return err
	}
	if err := s.startEdges(); err != nil {
		return err
	}
	return s.startGateways(ctx)
}

// startBackends starts what answers behind the edges, and behind a Service of the cluster.
func (s *Suite) startBackends() error {
	s.behindB, s.behindC = &backend{name: "b"}, &backend{name: "c"}
	for address, backend := range map[string]*backend{
		"127.0.0.1:9201": s.behindB, "127.0.0.1:9202": s.behindC, "127.0.0.1:9203": {name: "streams", isHTTP2: true},
		kubelet.NodeIP + ":9301": {name: "orders"},
	} {
		if err := backend.serve(address); err != nil {
			return err
		}
	}
	return nil
}

func (s *Suite) startEdges() error {
	// The gateways of the cluster are where the node is: nearer to b than to c.
	s.b = edge{name: "b", locality: near, port: 18081, admin: 15101}
	s.c = edge{name: "c", locality: "eu/c", port: 18082, admin: 15102}
	s.d = edge{name: "d", locality: "eu/d", admin: 15103}
	const configuration = "export: [{hosts: ['*.shop.global']}]\nimport: [{hosts: [orders.shop.global]}]\n"
	err := s.overlay.join(&s.b, configuration, map[string]string{
		"ratings.yaml": service("ratings", 9201), "details.yaml": service("details", 9201), "reviews.yaml": service("reviews", 9201),
		"carts.yaml": service("carts", 9201), "streams.yaml": serviceOf("streams", "HTTP2", 9203), "web.yaml": entrance(s.b.port, "orders.shop.global"),
	})
	if err != nil {
		return err
	}
	err = s.overlay.join(&s.c, configuration, map[string]string{
		"ratings.yaml": service("ratings", 9202), "reviews.yaml": service("reviews", 9202), "carts.yaml": service("carts", 9202),
		"web.yaml": entrance(s.c.port, "orders.shop.global"),
	})
	if err != nil {
		return err
	}
	const distrustful = "export: [{hosts: ['*.shop.global']}]\ncallers: [{trustDomain: partner.example}]\n"
	return s.overlay.join(&s.d, distrustful, map[string]string{"vault.yaml": service("vault", 9201)})
}

// startGateways brings up the edge of the cluster, and the gateways beside it.
func (s *Suite) startGateways(ctx context.Context) error {
	token, err := s.overlay.token("a")
	if err != nil {
		return err
	}
	secret := fmt.Sprintf("kind: Secret\napiVersion: v1\nmetadata: {name: token, namespace: edge}\nstringData: {token: %q}\n", token)
	rights, err := os.ReadFile(filepath.Join(s.Cluster.Root, "..", "examples", "overlay", "rbac.yaml"))
	if err != nil {
		return err
	}
	namespace := "kind: Namespace\napiVersion: v1\nmetadata: {name: edge}\n"
	shop, err := objects.ReadFile("objects/shop.yaml")
	if err != nil {
		return err
	}
	gateways, err := objects.ReadFile("objects/gateway.yaml")
	if err != nil {
		return err
	}
	vanilla, err := os.ReadFile(filepath.Join(s.Cluster.Root, "differential", "base", "2-vanilla-envoy.yaml"))
	if err != nil {
		return err
	}
	for _, text := range []string{namespace, string(vanilla), secret, string(rights), string(shop), mergeRights, string(gateways)} {
		if err := s.apply(ctx, text); err != nil {
			return err
		}
	}
	for _, name := range []string{"edge", "envoy", "neighbour"} {
		pods, err := s.Cluster.AwaitReady(ctx, s.clients, "edge", "istio=mesh,role="+name, 1, readyLimit)
		if err != nil {
			return err
		}
		s.gateways = append(s.gateways, gateway{name, &pods[0]})
	}
	return nil
}

// mergeRights lets the edge write beside Services that it merges with.
const mergeRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: selvedge-edge, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: selvedge-edge}
subjects:
- {kind: ServiceAccount, name: edge, namespace: edge}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: selvedge-edge, namespace: shop}
rules:
- {apiGroups: [networking.istio.io], resources: [serviceentries], verbs: [create, patch, delete]}
`

// apply puts objects into the cluster. A Service without a selector gets its backend on the node.
func (s *Suite) apply(ctx context.Context, text string) error {
	parsed, err := cluster.ParseObjects([]byte(text))
	if err != nil {
		return err
	}
	var all []*unstructured.Unstructured
	for _, object := range parsed {
		all = append(all, object)
		_, selects, err := unstructured.NestedMap(object.Object, "spec", "selector")
		if err != nil {
			return err
		}
		if object.GetKind() == "Service" && !selects {
			slice, err := cluster.EndpointsAt(object, kubelet.NodeIP)
			if err != nil {
				return err
			}
			all = append(all, slice)
		}
	}
	return s.clients.Apply(ctx, all, applyLimit)
}

func (s *Suite) remove(ctx context.Context, text string) error {
	parsed, err := cluster.ParseObjects([]byte(text))
	if err != nil {
		return err
	}
	return s.clients.Delete(ctx, parsed)
}

// ask asks the edge's gateway.
func (s *Suite) ask(path, edge string) (string, error) { return s.edge().ask(path, edge) }
