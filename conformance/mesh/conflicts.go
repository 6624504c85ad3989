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
	"k8s.io/apimachinery/pkg/types"
)

const entryOfUser = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: late.shop.global, namespace: edge}
spec:
  hosts: [late.shop.global]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.244.0.1, ports: {http: 9301}}]
`

// conflict offers a host from another edge that is somebody's already.
func (s *Suite) conflict(ctx context.Context) (string, error) {
	if _, err := await(arriveLimit, s.isGone(ctx, "edge", entries, "late.shop.global")); err != nil {
		return "", err
	}
	if err := s.apply(ctx, entryOfUser); err != nil {
		return "", err
	}
	before, err := s.in("edge", entries).Get(ctx, "late.shop.global", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.b.folder, "late.yaml")
	if err := os.WriteFile(file, []byte(service("late", 9201)), 0o644); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.says("ServiceEntry edge/late.shop.global is not ours")); err != nil {
		return "", err
	}
	after, err := s.in("edge", entries).Get(ctx, "late.shop.global", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if !same(before, after) {
		return "", errors.New("it was changed")
	}
	// Beside it the one that is not merged.
	if _, err := await(arriveLimit, s.counts("kubernetes.conflicts", "2")); err != nil {
		return "", err
	}
	if err := s.remove(ctx, entryOfUser); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.answers("/late", "", "b")); err != nil {
		return "", err
	}
	return "", os.Remove(file)
}

const (
	details = "details.shop.svc.cluster.local"
	policy  = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: details, namespace: shop}
spec:
  host: details
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 1, consecutiveLocalOriginFailures: 1, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 100}
`
	detailsService = `apiVersion: v1
kind: Service
metadata: {name: details, namespace: shop}
spec:
  selector: {app: details}
  ports: [{name: http, port: 80, targetPort: 8080}]
`
)

func (s *Suite) refusal(ctx context.Context) (string, error) {
	const words = "it cannot be merged with Service shop/details: nothing says that its own pods come first"
	if _, err := await(arriveLimit, s.says(words)); err != nil {
		return "", err
	}
	if err := s.isGone(ctx, "shop", entries, details)(); err != nil {
		return "", err
	}
	_, err := await(arriveLimit, s.alwaysDetails)
	return "", err
}

func (s *Suite) merge(ctx context.Context) (string, error) {
	if err := s.apply(ctx, policy); err != nil {
		return "", err
	}
	first, err := s.younger(ctx, "")
	if err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.alwaysDetails); err != nil {
		return "", err
	}
	// Made anew, the Service is younger than what was written beside it.
	if err := s.remove(ctx, detailsService); err != nil {
		return "", err
	}
	if err := s.apply(ctx, detailsService); err != nil {
		return "", err
	}
	if _, err := s.younger(ctx, first); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.alwaysDetails); err != nil {
		return "", err
	}
	if err := s.scaleDetails(ctx, 0); err != nil {
		return "", err
	}
	took, err := await(arriveLimit, s.answers("/details", "", "b"))
	if err != nil {
		return "", err
	}
	if err := s.scaleDetails(ctx, 1); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.alwaysDetails); err != nil {
		return "", err
	}
	if err := s.remove(ctx, policy); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.isGone(ctx, "shop", entries, details)); err != nil {
		return "", err
	}
	return fmt.Sprintf("the next edge after %.2f s", took.Seconds()), nil
}

// alwaysDetails wants all of many answers to be those of the Service's own pod.
func (s *Suite) alwaysDetails() error {
	for range 50 {
		body, err := s.ask("/details", "")
		if err != nil {
			return err
		}
		if !strings.Contains(body, "details") {
			return fmt.Errorf("%s answers instead of details", body)
		}
	}
	return nil
}

func (s *Suite) scaleDetails(ctx context.Context, pods int) error {
	patch := fmt.Sprintf(`{"spec": {"replicas": %d}}`, pods)
	_, err := s.clients.Kubernetes.AppsV1().Deployments("shop").Patch(ctx, "details", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// younger waits for a ServiceEntry that is younger than the Service, and not the one that was there before.
func (s *Suite) younger(ctx context.Context, before string) (uid string, err error) {
	_, err = await(arriveLimit, func() error {
		entry, err := s.in("shop", entries).Get(ctx, details, metav1.GetOptions{})
		if err != nil {
			return err
		}
		service, err := s.clients.Kubernetes.CoreV1().Services("shop").Get(ctx, "details", metav1.GetOptions{})
		if err != nil {
			return err
		}
		uid = string(entry.GetUID())
		if uid == before || !entry.GetCreationTimestamp().After(service.CreationTimestamp.Time) {
			return fmt.Errorf("ServiceEntry shop/%s is of %s, the Service of %s", details, entry.GetCreationTimestamp(), service.CreationTimestamp)
		}
		return nil
	})
	return uid, err
}

// away has an API server that does not answer for a while, and looks that what changed meanwhile is done later.
func (s *Suite) away(context.Context) (string, error) {
	const pause = 5 * time.Second
	resume, err := s.Cluster.Suspend("apiserver")
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.b.folder, "late.yaml")
	requests := 0
	err = os.WriteFile(file, []byte(service("late", 9201)), 0o644)
	for end := time.Now().Add(pause); err == nil && time.Now().Before(end); requests++ {
		_, err = s.ask("/", "")
		if err == nil {
			_, err = ask(fmt.Sprintf("127.0.0.1:%d", s.b.port), "/", "")
		}
	}
	if err := errors.Join(err, resume()); err != nil {
		return "", err
	}
	if _, err := await(2*arriveLimit, s.answers("/late", "", "b")); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d requests each way, 0 failed", requests), os.Remove(file)
}

// forbidden takes the right to write away.
func (s *Suite) forbidden(ctx context.Context) (string, error) {
	bindings := s.clients.Kubernetes.RbacV1().RoleBindings("edge")
	binding, err := bindings.Get(ctx, "selvedge-edge", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.isGone(ctx, "edge", entries, "late.shop.global")); err != nil {
		return "", err
	}
	if err := bindings.Delete(ctx, binding.Name, metav1.DeleteOptions{}); err != nil {
		return "", err
	}
	file := filepath.Join(s.b.folder, "late.yaml")
	if err := os.WriteFile(file, []byte(service("late", 9201)), 0o644); err != nil {
		return "", err
	}
	if _, err := await(arriveLimit, s.says(`cannot patch resource "serviceentries"`)); err != nil {
		return "", err
	}
	binding.ResourceVersion, binding.UID = "", ""
	if _, err := bindings.Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if _, err := await(2*arriveLimit, s.answers("/late", "", "b")); err != nil {
		return "", err
	}
	return "", os.Remove(file)
}
