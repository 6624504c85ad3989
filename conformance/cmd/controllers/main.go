// Command controllers runs the seven controllers of kube-controller-manager that the tests need,
// from Kubernetes' own packages, without compiling the forty others.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

const (
	resync = 12 * time.Hour
	// endpointBatch keeps endpoint changes quick: tests wait for them.
	endpointBatch = 20 * time.Millisecond
	// rediscovery is how soon the garbage collector learns of new CRDs.
	rediscovery = 5 * time.Second
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server, as cluster admin")
	rootCA := flag.String("root-ca-file", "", "the cluster's CA, published to every namespace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *rootCA); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, rootCA string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 1000
	ca, err := os.ReadFile(rootCA)
	if err != nil {
		return err
	}
	c, err := newControllers(config)
	if err != nil {
		return err
	}
	starts := []func(context.Context) error{
		c.workloads, c.endpoints, c.namespaces,
		func(ctx context.Context) error { return c.accounts(ctx, ca) },
		c.garbage,
	}
	for _, start := range starts {
		if err := start(ctx); err != nil {
			return err
		}
	}
	c.informers.Start(ctx.Done())
	c.metadataInformers.Start(ctx.Done())
	close(c.started)
	log.Print("ready")
	<-ctx.Done()
	return nil
}

// controllers is what the controllers share.
type controllers struct {
	client            kubernetes.Interface
	metadata          metadata.Interface
	informers         informers.SharedInformerFactory
	metadataInformers metadatainformer.SharedInformerFactory
	started           chan struct{}
}

func newControllers(config *rest.Config) (*controllers, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &controllers{
		client:            client,
		metadata:          metadataClient,
		informers:         informers.NewSharedInformerFactory(client, resync),
		metadataInformers: metadatainformer.NewSharedInformerFactory(metadataClient, resync),
		started:           make(chan struct{}),
	}, nil
}

// workloads: Deployments make ReplicaSets, ReplicaSets make pods.
func (c *controllers) workloads(ctx context.Context) error {
	apps, core := c.informers.Apps().V1(), c.informers.Core().V1()
	deployments, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), c.client)
	if err != nil {
		return err
	}
	replicaSets := replicaset.NewReplicaSetController(ctx, apps.ReplicaSets(), core.Pods(), c.client, replicaset.BurstReplicas)
	go deployments.Run(ctx, 5)
	go replicaSets.Run(ctx, 5)
	return nil
}

// endpoints: Services get EndpointSlices.
func (c *controllers) endpoints(ctx context.Context) error {
	core := c.informers.Core().V1()
	slices := endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(),
		c.informers.Discovery().V1().EndpointSlices(), 100, c.client, endpointBatch)
	go slices.Run(ctx, 5)
	return nil
}

// namespaces: a deleted namespace is emptied.
func (c *controllers) namespaces(ctx context.Context) error {
	controller := namespace.NewNamespaceController(ctx, c.client, c.metadata, c.client.Discovery().ServerPreferredNamespacedResources,
		c.informers.Core().V1().Namespaces(), 5*time.Minute, corev1.FinalizerKubernetes)
	go controller.Run(ctx, 10)
	return nil
}

// accounts: every namespace has a default service account and the cluster's root certificate.
func (c *controllers) accounts(ctx context.Context, ca []byte) error {
	core := c.informers.Core().V1()
	serviceAccounts, err := serviceaccount.NewServiceAccountsController(klog.Background(), core.ServiceAccounts(), core.Namespaces(),
		c.client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	publisher, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), c.client, ca)
	if err != nil {
		return err
	}
	go serviceAccounts.Run(ctx, 1)
	go publisher.Run(ctx, 1)
	return nil
}

// garbage: what a deleted object owned goes too.
func (c *controllers) garbage(ctx context.Context) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	collector, err := garbagecollector.NewGarbageCollector(ctx, c.client, c.metadata, mapper, garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(c.informers, c.metadataInformers), c.started)
	if err != nil {
		return err
	}
	go collector.Run(ctx, 20, 30*time.Second)
	go collector.Sync(ctx, discovery.ServerResourcesInterface(c.client.Discovery()), rediscovery)
	go func() {
		ticker := time.NewTicker(rediscovery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				mapper.Reset()
			}
		}
	}()
	return nil
}
