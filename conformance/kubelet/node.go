package kubelet

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Locality is where the node is, and with it the gateways on it.
const Locality = Region + "/" + zone

// Region is where the node is, more or less.
const Region = "region"

const zone = "zone"

// logPort is where the API server asks for container logs (the kubelet's usual port).
const logPort = 10250

// registerNode creates the node object, ready and without taints.
func (k *Kubelet) registerNode(ctx context.Context) error {
	nodes := k.Client.CoreV1().Nodes()
	_, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: NodeName,
		Labels: map[string]string{
			corev1.LabelHostname:       NodeName,
			corev1.LabelTopologyRegion: Region,
			corev1.LabelTopologyZone:   zone,
		},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	node, err := nodes.Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	// The API server taints new nodes until a controller that we do not run says otherwise.
	node.Spec.Taints = nil
	if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	now := metav1.Now()
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: NodeIP},
		{Type: corev1.NodeHostName, Address: NodeName},
	}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = logPort
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "ProcessKubelet",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}
