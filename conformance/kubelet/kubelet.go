// Package kubelet is a process kubelet: the one node of a test cluster. It binds every unscheduled
// pod to itself, gives each pod its own network and mount namespace, and runs the first container as
// an ordinary process chosen by a table from image to program. It also plays the cluster's load
// balancer and DNS server. It needs root, and it is not a general kubelet: see README.md, limits.
package kubelet

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// NodeName is the name of the only node.
	NodeName = "node"
	// NodeIP is the node's address on the pods' bridge.
	NodeIP = "10.244.0.1"
	// reconcileInterval is how often load balancers are looked at.
	reconcileInterval = 200 * time.Millisecond
)

// Kubelet runs the pods of one node.
type Kubelet struct {
	// Client talks to the API server as cluster admin.
	Client kubernetes.Interface
	// Config is the table of programs.
	Config *Config
	// RunDir holds the volumes and logs of the pods.
	RunDir string
	// NodeNamespace is the network namespace that holds the bridge; pods' namespaces are named after it.
	NodeNamespace string

	podIndex     cache.Indexer
	serviceIndex cache.Indexer

	mu   sync.Mutex
	pods map[string]*pod // by UID
	next int             // number of the next pod's address
}

// Run serves until ctx ends, then stops every pod.
func (k *Kubelet) Run(ctx context.Context) error {
	k.pods = map[string]*pod{}
	if err := k.registerNode(ctx); err != nil {
		return fmt.Errorf("register node: %w", err)
	}
	factory := informers.NewSharedInformerFactory(k.Client, 0)
	podInformer := factory.Core().V1().Pods().Informer()
	k.podIndex = podInformer.GetIndexer()
	k.serviceIndex = factory.Core().V1().Services().Informer().GetIndexer()
	if _, err := podInformer.AddEventHandler(k.handlers(ctx)); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go k.serveLogs(ctx)
	go k.serveDNS(ctx)
	log.Print("ready")

	ticker := time.NewTicker(reconcileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			k.stopAll()
			return nil
		case <-ticker.C:
			k.reconcileLoadBalancers(ctx)
		}
	}
}

func (k *Kubelet) handlers(ctx context.Context) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.observe(ctx, object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { k.observe(ctx, object.(*corev1.Pod)) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			go k.stop(string(object.(*corev1.Pod).UID))
		},
	}
}

// observe brings what runs closer to what the API server says of one pod.
func (k *Kubelet) observe(ctx context.Context, object *corev1.Pod) {
	switch {
	case object.Spec.NodeName == "" && object.DeletionTimestamp == nil:
		go k.bind(ctx, object)
	case object.Spec.NodeName != NodeName:
	case object.DeletionTimestamp != nil:
		go k.stopAndRemove(object)
	case object.Status.Phase != corev1.PodSucceeded && object.Status.Phase != corev1.PodFailed:
		k.start(ctx, object)
	}
}

func (k *Kubelet) bind(ctx context.Context, object *corev1.Pod) {
	err := k.Client.CoreV1().Pods(object.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: object.Name, Namespace: object.Namespace, UID: object.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: NodeName},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Printf("bind %s/%s: %v", object.Namespace, object.Name, err)
	}
}

func (k *Kubelet) start(ctx context.Context, object *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	uid := string(object.UID)
	if k.pods[uid] != nil || ctx.Err() != nil {
		return
	}
	number := k.next
	k.next++
	podContext, cancel := context.WithCancel(context.Background())
	p := &pod{
		kubelet: k,
		object:  object.DeepCopy(),
		dir:     k.podDir(uid),
		network: podNetwork(k.NodeNamespace, number),
		cancel:  cancel,
		done:    make(chan struct{}),
	}
	k.pods[uid] = p
	go p.run(podContext)
}

// stop ends the pod's process, if it runs, and waits for it.
func (k *Kubelet) stop(uid string) {
	k.mu.Lock()
	p := k.pods[uid]
	k.mu.Unlock()
	if p == nil {
		return
	}
	p.cancel()
	<-p.done
	k.mu.Lock()
	delete(k.pods, uid)
	k.mu.Unlock()
}

func (k *Kubelet) stopAndRemove(object *corev1.Pod) {
	k.stop(string(object.UID))
	now := int64(0)
	err := k.Client.CoreV1().Pods(object.Namespace).Delete(context.Background(), object.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      metav1.NewUIDPreconditions(string(object.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		log.Printf("remove %s/%s: %v", object.Namespace, object.Name, err)
	}
}

// stopAll ends every pod without grace: the whole cluster goes away. The Pod objects stay.
func (k *Kubelet) stopAll() {
	k.mu.Lock()
	var running []*pod
	for _, p := range k.pods {
		p.hurry.Store(true)
		p.cancel()
		running = append(running, p)
	}
	k.mu.Unlock()
	for _, p := range running {
		<-p.done
	}
}
