// Command kubelet runs the process kubelet (package kubelet) against the cluster of a kubeconfig.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"selvedge.dev/conformance/kubelet"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == kubelet.BecomePod {
		log.Fatal(kubelet.Become(os.Args[2]))
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server, as cluster admin")
	programs := flag.String("programs", "", "JSON file: which program stands for which image")
	runDir := flag.String("run-dir", "", "directory for the volumes and logs of pods")
	namespace := flag.String("node-namespace", "", "network namespace that holds the pods' bridge")
	flag.Parse()

	config, err := kubelet.LoadConfig(*programs)
	if err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	rest.QPS, rest.Burst = 200, 400
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	node := &kubelet.Kubelet{Client: client, Config: config, RunDir: *runDir, NodeNamespace: *namespace}
	return node.Run(ctx)
}
