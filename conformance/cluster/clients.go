package cluster

import (
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Clients talk to the cluster's API server, from inside the node's namespace.
type Clients struct {
	// Kubernetes is for the built-in kinds.
	Kubernetes kubernetes.Interface
	// Dynamic is for any kind.
	Dynamic dynamic.Interface

	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// Clients connects as cluster admin.
func (c *Cluster) Clients() (*Clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	anyKind, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Clients{
		Kubernetes: client,
		Dynamic:    anyKind,
		mapper:     restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())),
	}, nil
}
