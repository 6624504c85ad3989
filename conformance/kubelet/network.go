package kubelet

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// Bridge is the name of the bridge in the node's namespace; the pods' interfaces hang on it.
const Bridge = "pods"

// podsPerBlock is how many addresses of each of 10.244.1.0/24, 10.244.2.0/24 ... are used.
const podsPerBlock = 200

// network is the network namespace of one pod: loopback, and eth0 on the node's bridge. There is
// no route to anywhere else.
type network struct {
	node      string // the node's namespace
	namespace string
	link      string // the node's end of the pair
	address   string
}

func podNetwork(node string, number int) network {
	return network{
		node:      node,
		namespace: fmt.Sprintf("%s-pod%d", node, number),
		link:      fmt.Sprintf("pod%d", number),
		address:   fmt.Sprintf("10.244.%d.%d", 1+number/podsPerBlock, 10+number%podsPerBlock),
	}
}

// create makes the namespace. A pair whose other end sat in a namespace deleted a moment ago lives
// until the kernel has torn that one down, so it may take several tries.
func (n network) create(ctx context.Context) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := n.tryCreate()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		n.remove()
		sleep(ctx, 100*time.Millisecond)
	}
}

func (n network) tryCreate() error {
	for _, command := range [][]string{
		{"netns", "add", n.namespace},
		{"-n", n.node, "link", "add", n.link, "type", "veth", "peer", "name", "eth0", "netns", n.namespace},
		{"-n", n.node, "link", "set", n.link, "master", Bridge, "up"},
		{"-n", n.namespace, "addr", "add", n.address + "/16", "dev", "eth0"},
		{"-n", n.namespace, "link", "set", "eth0", "up"},
		{"-n", n.namespace, "link", "set", "lo", "up"},
	} {
		if out, err := exec.Command("ip", command...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", command, err, out)
		}
	}
	return nil
}

// remove deletes the namespace and the pair; what is already gone is no error.
func (n network) remove() {
	_ = exec.Command("ip", "-n", n.node, "link", "del", n.link).Run()
	_ = exec.Command("ip", "netns", "del", n.namespace).Run()
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// PodNamespace is the network namespace of the pod that has this address.
func PodNamespace(node, address string) (string, error) {
	var block, host int
	if _, err := fmt.Sscanf(address, "10.244.%d.%d", &block, &host); err != nil || block < 1 || host < 10 {
		return "", fmt.Errorf("%q is not a pod's address", address)
	}
	return podNetwork(node, (block-1)*podsPerBlock+host-10).namespace, nil
}
