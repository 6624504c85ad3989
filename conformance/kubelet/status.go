package kubelet

import (
	"context"
	"log"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// statusTries bounds the retries of a status write that lost a race.
const statusTries = 5

// status is what the kubelet knows of a pod's program.
type status struct {
	ready    bool
	restarts int
	// waiting is the reason why the program does not run, or empty.
	waiting string
}

// writeStatus tells the API server.
func (p *pod) writeStatus(ctx context.Context, s status) {
	pods := p.kubelet.Client.CoreV1().Pods(p.object.Namespace)
	for range statusTries {
		current, err := pods.Get(ctx, p.object.Name, metav1.GetOptions{})
		if err != nil || current.UID != p.object.UID {
			return
		}
		quality := current.Status.QOSClass
		current.Status = p.status(s)
		current.Status.QOSClass, current.Status.ObservedGeneration = quality, current.Generation
		_, err = pods.UpdateStatus(ctx, current, metav1.UpdateOptions{})
		if err == nil || ctx.Err() != nil {
			return
		}
		if !apierrors.IsConflict(err) {
			log.Printf("%s: status: %v", p, err)
			return
		}
	}
}

func (p *pod) status(s status) corev1.PodStatus {
	now := metav1.Now()
	ready := corev1.ConditionFalse
	if s.ready {
		ready = corev1.ConditionTrue
	}
	condition := func(kind corev1.PodConditionType, value corev1.ConditionStatus) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: now, LastProbeTime: now}
	}
	result := corev1.PodStatus{
		Phase:     corev1.PodRunning,
		PodIP:     p.network.address,
		PodIPs:    []corev1.PodIP{{IP: p.network.address}},
		HostIP:    NodeIP,
		HostIPs:   []corev1.HostIP{{IP: NodeIP}},
		StartTime: &now,
		Conditions: []corev1.PodCondition{
			condition(corev1.PodScheduled, corev1.ConditionTrue),
			condition(corev1.PodInitialized, corev1.ConditionTrue),
			condition(corev1.ContainersReady, ready),
			condition(corev1.PodReady, ready),
		},
	}
	if s.waiting != "" {
		result.Phase = corev1.PodPending
	}
	for i, container := range p.object.Spec.Containers {
		result.ContainerStatuses = append(result.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: container.Image,
			// Only the first container has a program.
			Ready: s.ready && i == 0, Started: &s.ready, RestartCount: int32(s.restarts), State: containerState(s, now),
		})
	}
	return result
}

func containerState(s status, now metav1.Time) corev1.ContainerState {
	if s.waiting != "" {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: s.waiting}}
	}
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
}
