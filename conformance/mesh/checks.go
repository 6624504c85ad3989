package mesh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

var checks = []struct {
	name string
	run  func(s *Suite, ctx context.Context) (figure string, err error)
}{
	{"a VirtualService divides load between edges", (*Suite).weights},
	{"a header leads to the subset of one edge", (*Suite).header},
	{"a service of HTTP/2 is called by HTTP/2", (*Suite).http2},
	{"what failed is tried again", (*Suite).retries},
	{"an edge that fails is left out for a while", (*Suite).failing},
	{"the next locality answers while an edge is dead", (*Suite).killed},
	{"a client of HBONE reaches a service by its address", (*Suite).tunnel},
	{"whoever is no client of the mesh is refused", (*Suite).strangers},
	{"an edge that may not speak for our trust domain is refused", (*Suite).callers},
	{"edges outside call a Service of the cluster, and no other", (*Suite).offers},
	{"offered to callable, withdrawn to gone", (*Suite).arrival},
	{"what is changed by hand comes back", (*Suite).changes},
	{"what is deleted comes back", (*Suite).deletions},
	{"a DestinationRule of somebody else takes the place of ours", (*Suite).rules},
	{"a ServiceEntry of somebody else is left alone", (*Suite).conflict},
	{"nothing is merged with a Service without a policy", (*Suite).refusal},
	{"merged with a Service: pods first, then edges; it stays younger", (*Suite).merge},
	{"traffic goes on while the API server is away", (*Suite).away},
	{"a right that is missing is named", (*Suite).forbidden},
	{"the example of an edge in a cluster is taken and injected", (*Suite).example},
	{"a restart while API server, istiod and hub are away", (*Suite).restart},
}

const (
	adminPort = 15000
	ratings   = "ratings.shop.global"
)

var (
	entries = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	rules   = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
)

func (s *Suite) in(namespace string, kind schema.GroupVersionResource) dynamic.ResourceInterface {
	return s.clients.Dynamic.Resource(kind).Namespace(namespace)
}

// answers wants the edge's gateway to answer with a word.
func (s *Suite) answers(path, edge, word string) func() error {
	return s.edge().answers(path, edge, word)
}

func (s *Suite) offers(context.Context) (string, error) {
	for _, port := range []int{s.b.port, s.c.port} {
		if _, err := await(arriveLimit, func() error {
			body, err := ask(fmt.Sprintf("127.0.0.1:%d", port), "/", "")
			if err == nil && body != "orders" {
				err = fmt.Errorf("%s answers", body)
			}
			return err
		}); err != nil {
			return "", err
		}
	}
	imports, err := os.ReadFile(filepath.Join(s.b.folder, "selvedge-imports.yaml"))
	if err != nil {
		return "", err
	}
	if strings.Contains(string(imports), "details") || strings.Contains(string(imports), "ratings") {
		return "", errors.New("more is offered than should be")
	}
	return "", nil
}

func (s *Suite) arrival(context.Context) (string, error) {
	const limit = 2 * time.Second
	file := filepath.Join(s.b.folder, "late.yaml")
	if err := os.WriteFile(file, []byte(service("late", 9201)), 0o644); err != nil {
		return "", err
	}
	callable, err := await(arriveLimit, s.answers("/late", "", "b"))
	if err != nil {
		return "", err
	}
	// A file that is missing is waited for: it may be on its way.
	if err := os.WriteFile(file, []byte("# nothing\n"), 0o644); err != nil {
		return "", err
	}
	gone, err := await(arriveLimit, func() error {
		if body, err := s.ask("/late", ""); err == nil {
			return fmt.Errorf("%s answers still", body)
		}
		return nil
	})
	figure := fmt.Sprintf("%.2f s and %.2f s", callable.Seconds(), gone.Seconds())
	if err == nil && (callable > limit || gone > limit) {
		err = fmt.Errorf("%s, at most %s is wanted", figure, limit)
	}
	return figure, err
}

// changes by hand, of several kinds, and looks that the object is again as it was, with all traffic served.
func (s *Suite) changes(ctx context.Context) (string, error) {
	for _, change := range []string{
		`[{"op": "replace", "path": "/spec/endpoints/0/address", "value": "127.98.255.1"}]`,
		`[{"op": "add", "path": "/spec/ports/-", "value": {"number": 81, "name": "more", "protocol": "TCP"}}]`,
		`[{"op": "add", "path": "/spec/exportTo", "value": ["~"]}]`,
		`[{"op": "remove", "path": "/spec/subjectAltNames"}]`,
		`[{"op": "remove", "path": "/metadata/labels/networking.istio.io~1tunnel"}]`,
	} {
		before, err := s.in("edge", entries).Get(ctx, ratings, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		changed, err := s.in("edge", entries).Patch(ctx, ratings, types.JSONPatchType, []byte(change), metav1.PatchOptions{FieldManager: "hand"})
		if err != nil {
			return "", err
		}
		if same(before, changed) {
			return "", fmt.Errorf("nothing was changed by %s", change)
		}
		if _, err := await(arriveLimit, func() error {
			now, err := s.in("edge", entries).Get(ctx, ratings, metav1.GetOptions{})
			if err == nil && !same(before, now) {
				err = fmt.Errorf("after %s it is %v %v", change, now.Object["spec"], now.GetLabels())
			}
			return err
		}); err != nil {
			return "", err
		}
	}
	_, err := await(arriveLimit, s.answers("/", "", "b"))
	return "5 of 5", err
}

func same(before, now *unstructured.Unstructured) bool {
	return fmt.Sprint(before.Object["spec"], before.GetLabels()) == fmt.Sprint(now.Object["spec"], now.GetLabels())
}

func (s *Suite) deletions(ctx context.Context) (string, error) {
	for _, kind := range []schema.GroupVersionResource{entries, rules} {
		if err := s.in("edge", kind).Delete(ctx, ratings, metav1.DeleteOptions{}); err != nil {
			return "", err
		}
		if _, err := await(arriveLimit, func() error {
			_, err := s.in("edge", kind).Get(ctx, ratings, metav1.GetOptions{})
			return err
		}); err != nil {
			return "", err
		}
	}
	_, err := await(arriveLimit, s.answers("/", "c", "c"))
	return "", err
}

const ruleOfUser = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mine, namespace: edge}
spec:
  host: ratings.shop.global
  subsets:
  - {name: b, labels: {edge: c}}
  - {name: c, labels: {edge: c}}
`

func (s *Suite) rules(ctx context.Context) (string, error) {
	if err := s.apply(ctx, ruleOfUser); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.isGone(ctx, "edge", rules, ratings)); err != nil {
		return "", err
	}
	// It holds: its subset b is edge c.
	if _, err := await(arriveLimit, func() error {
		for range 20 {
			if err := s.answers("/", "", "c")(); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return "", err
	}
	if err := s.remove(ctx, ruleOfUser); err != nil {
		return "", err
	}
	_, err := await(arriveLimit, s.answers("/", "", "b"))
	return "", err
}

func (s *Suite) isGone(ctx context.Context, namespace string, kind schema.GroupVersionResource, name string) func() error {
	return func() error {
		object, err := s.in(namespace, kind).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("%s %s/%s is there", object.GetKind(), namespace, name)
		}
		if !strings.Contains(err.Error(), "not found") {
			return err
		}
		return nil
	}
}

// count is a counter of the edge's gateway.
func (s *Suite) count(name string) (string, error) {
	page, err := s.edge().pod.Get(adminPort, "/stats?filter="+name)
	if err != nil {
		return "", err
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(page)), ": ")
	return value, nil
}

func (s *Suite) counts(name, wanted string) func() error {
	return func() error {
		value, err := s.count(name)
		if err == nil && value != wanted {
			err = fmt.Errorf("%s is %s, not %s", name, value, wanted)
		}
		return err
	}
}

// says wants a text in what the edge's gateway has logged.
func (s *Suite) says(text string) func() error {
	return func() error {
		pod := s.edge().pod
		log, err := s.Cluster.PodLog(pod.Namespace, pod.Name)
		if err == nil && !strings.Contains(string(log), text) {
			err = fmt.Errorf("the gateway's log does not say %q", text)
		}
		return err
	}
}
