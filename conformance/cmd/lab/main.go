// Command lab runs a test cluster of plain processes by hand: see usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/cluster"
)

const usage = `usage: lab [-name NAME] COMMAND

  up [PROFILE]            start from nothing; PROFILE is default or differential (cluster/profiles)
  down                    stop everything
  status                  what runs
  apply FILE...           create or update the objects in YAML files
  delete FILE...          remove them
  pods                    list the pods with their addresses
  logs NAMESPACE/POD      what a pod has written
  restart NAMESPACE/POD   delete a pod; its Deployment makes another
  run COMMAND...          run a command in the node's network namespace (istiod is at 127.0.0.1 there)
  exec NAMESPACE/POD COMMAND...
                          run a command in a pod's network namespace

Clusters of different names run side by side. The gateway under test is SELVEDGE_BINARY.
`

func main() {
	name := flag.String("name", cluster.DefaultName, "the cluster's name")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*name, flag.Arg(0), flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(name, command string, arguments []string) error {
	c, err := cluster.New(name)
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch command {
	case "up":
		return up(ctx, c, arguments)
	case "down":
		return c.Down()
	case "status":
		return status(c)
	case "run":
		return become(c.NodeNamespace(), arguments)
	}
	if err := c.EnterNode(); err != nil {
		return err
	}
	clients, err := c.Clients()
	if err != nil {
		return err
	}
	switch command {
	case "apply":
		return eachFile(arguments, func(objects []*unstructured.Unstructured) error {
			return clients.Apply(ctx, objects, 10*time.Second)
		})
	case "delete":
		return eachFile(arguments, func(objects []*unstructured.Unstructured) error {
			return clients.Delete(ctx, objects)
		})
	case "pods":
		return listPods(ctx, c, clients)
	case "logs", "exec", "restart":
		if len(arguments) == 0 {
			return errors.New(command + " needs NAMESPACE/POD")
		}
		pod, err := c.Pod(ctx, clients, arguments[0])
		if err != nil {
			return err
		}
		switch command {
		case "exec":
			return become(pod.NetworkNamespace, arguments[1:])
		case "restart":
			return clients.Kubernetes.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
		}
		text, err := c.PodLog(pod.Namespace, pod.Name)
		fmt.Printf("%s", text)
		return err
	}
	return fmt.Errorf("no command %q\n%s", command, usage)
}

func up(ctx context.Context, c *cluster.Cluster, arguments []string) error {
	name := "default"
	if len(arguments) > 0 {
		name = arguments[0]
	}
	started := time.Now()
	if err := c.Enter(ctx, name, false); err != nil {
		return err
	}
	fmt.Printf("cluster %s is up after %.1f s; istiod at 127.0.0.1:%d and :%d inside namespace %s; logs in %s\n",
		c.Name, time.Since(started).Seconds(), cluster.IstiodXDS, cluster.IstiodSecure, c.NodeNamespace(), c.RunDir())
	return nil
}

func status(c *cluster.Cluster) error {
	lines, running := c.Status()
	for _, line := range lines {
		fmt.Println(line)
	}
	if !running {
		return fmt.Errorf("cluster %s is not up", c.Name)
	}
	return nil
}

func eachFile(files []string, do func([]*unstructured.Unstructured) error) error {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		objects, err := cluster.ParseObjects(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := do(objects); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func listPods(ctx context.Context, c *cluster.Cluster, clients *cluster.Clients) error {
	pods, err := c.Pods(ctx, clients, "", "")
	if err != nil {
		return err
	}
	for _, pod := range pods {
		fmt.Printf("%-60s %-15s ready=%-5t %s\n", pod.Namespace+"/"+pod.Name, pod.Address, pod.Ready, pod.NetworkNamespace)
	}
	return nil
}

// become replaces this program by the command.
func become(namespace string, command []string) error {
	if len(command) == 0 {
		return errors.New("no command given")
	}
	return cluster.Become(namespace, command)
}
