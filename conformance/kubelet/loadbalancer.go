package kubelet

import (
	"context"
	"log"
	"sort"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// reconcileLoadBalancers gives every Service of type LoadBalancer the address of its first ready
// pod: no VIP has to be routed, and one backend is enough for a test.
func (k *Kubelet) reconcileLoadBalancers(ctx context.Context) {
	for _, object := range k.serviceIndex.List() {
		service := object.(*corev1.Service)
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Spec.Selector) == 0 {
			continue
		}
		addresses := k.readyAddresses(service.Namespace, labels.SelectorFromSet(service.Spec.Selector))
		if len(addresses) > 0 {
			k.assign(ctx, service, addresses[0])
		}
	}
}

func (k *Kubelet) assign(ctx context.Context, service *corev1.Service, address string) {
	current := service.Status.LoadBalancer.Ingress
	if len(current) == 1 && current[0].IP == address {
		return
	}
	service = service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
	_, err := k.Client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Printf("load balancer %s/%s: %v", service.Namespace, service.Name, err)
	}
}

// readyAddresses returns the sorted addresses of the ready pods that the selector picks; an empty
// namespace means all of them.
func (k *Kubelet) readyAddresses(namespace string, selector labels.Selector) []string {
	var addresses []string
	for _, object := range k.podIndex.List() {
		candidate := object.(*corev1.Pod)
		inNamespace := namespace == "" || candidate.Namespace == namespace
		if inNamespace && candidate.DeletionTimestamp == nil && isReady(candidate) && selector.Matches(labels.Set(candidate.Labels)) {
			addresses = append(addresses, candidate.Status.PodIP)
		}
	}
	sort.Strings(addresses)
	return addresses
}

func isReady(candidate *corev1.Pod) bool {
	for _, condition := range candidate.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && candidate.Status.PodIP != ""
		}
	}
	return false
}
