package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"selvedge.dev/conformance/kubelet"
)

// Pod is one running pod.
type Pod struct {
	Namespace, Name, Address string
	Ready                    bool
	// NetworkNamespace is where the pod's program runs ("ip netns exec", "nsenter --net").
	NetworkNamespace string
}

// Pods lists the pods that have an address, of all namespaces if the namespace is empty.
func (c *Cluster) Pods(ctx context.Context, clients *Clients, namespace, selector string) ([]Pod, error) {
	list, err := clients.Kubernetes.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var pods []Pod
	for _, item := range list.Items {
		if item.Status.PodIP == "" || item.DeletionTimestamp != nil {
			continue
		}
		pod := Pod{Namespace: item.Namespace, Name: item.Name, Address: item.Status.PodIP, Ready: isReady(&item)}
		if pod.NetworkNamespace, err = kubelet.PodNamespace(c.NodeNamespace(), pod.Address); err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// Pod finds one pod by "namespace/name"; the name may be cut short, as long as it fits one pod only.
func (c *Cluster) Pod(ctx context.Context, clients *Clients, reference string) (*Pod, error) {
	namespace, prefix, found := strings.Cut(reference, "/")
	if !found {
		return nil, fmt.Errorf("%q: want namespace/pod", reference)
	}
	pods, err := c.Pods(ctx, clients, namespace, "")
	if err != nil {
		return nil, err
	}
	var matches []Pod
	for _, pod := range pods {
		if strings.HasPrefix(pod.Name, prefix) {
			matches = append(matches, pod)
		}
	}
	if len(matches) != 1 {
		return nil, fmt.Errorf("%q fits %d running pods", reference, len(matches))
	}
	return &matches[0], nil
}

// AwaitReady waits until the selector picks exactly count pods and all are ready.
func (c *Cluster) AwaitReady(ctx context.Context, clients *Clients, namespace, selector string, count int, limit time.Duration) ([]Pod, error) {
	deadline := time.Now().Add(limit)
	for {
		pods, err := c.Pods(ctx, clients, namespace, selector)
		if err != nil {
			return nil, err
		}
		ready := 0
		for _, pod := range pods {
			if pod.Ready {
				ready++
			}
		}
		if ready == count && len(pods) == count {
			return pods, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d pods of %s with %q are ready after %s; logs are in %s", ready, count, namespace, selector, limit, c.PodDir())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// PodLog reads all that a pod has written so far, every line behind its time.
func (c *Cluster) PodLog(namespace, name string) ([]byte, error) {
	return os.ReadFile(kubelet.LogPath(c.PodDir(), namespace, name))
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
