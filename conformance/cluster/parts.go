package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"selvedge.dev/conformance/kubelet"
)

// Ports of the control plane inside the node's namespace.
const (
	// IstiodXDS is istiod's clear-text xDS port.
	IstiodXDS = 15010
	// IstiodSecure is istiod's xDS and CA port with TLS.
	IstiodSecure = 15012
	// IstiodHTTP serves istiod's readiness and debug pages.
	IstiodHTTP = 8080
)

const etcdURL = "http://127.0.0.1:2379"

// partNames are in the order in which the parts stop: clients before their servers.
var partNames = []string{"kubelet", "istiod", "controllers", "apiserver", "etcd"}

func (c *Cluster) etcd() part {
	const peer = "http://127.0.0.1:2380"
	return part{
		name: "etcd", program: c.Program("etcd"),
		arguments: []string{
			"--data-dir=" + filepath.Join(c.RunDir(), "etcd"),
			"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
			// The data lives as long as one run: durability would only cost time.
			"--unsafe-no-fsync", "--log-level=warn",
		},
		ready: func() error { return get(etcdURL + "/health") },
	}
}

func (c *Cluster) apiserver(client kubernetes.Interface) part {
	return part{
		name: "apiserver", program: c.Program("kube-apiserver"),
		arguments: []string{
			"--etcd-servers=" + etcdURL,
			"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + kubelet.NodeIP, "--endpoint-reconciler-type=none",
			"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"),
			"--client-ca-file=" + c.pki("ca.crt"), "--cert-dir=" + filepath.Join(c.RunDir(), "apiserver"),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + c.pki("sa.pub"), "--service-account-signing-key-file=" + c.pki("sa.key"),
			"--authorization-mode=RBAC", "--anonymous-auth=false", "--profiling=false", "--enable-priority-and-fairness=false",
			"--service-cluster-ip-range=10.96.0.0/16",
			// Nothing runs that would fill in storage classes, or remove the taint of a new node.
			"--disable-admission-plugins=DefaultStorageClass,StorageObjectInUseProtection,RuntimeClass,TaintNodesByCondition",
			// Webhooks are dialled at their endpoints: no virtual address is routed here.
			"--enable-aggregator-routing=true",
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate=" + c.pki("admin.crt"), "--kubelet-client-key=" + c.pki("admin.key"),
		},
		ready: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		},
	}
}

func (c *Cluster) controllers() part {
	return part{
		name: "controllers", program: c.Program("controllers"),
		arguments: []string{"-kubeconfig=" + c.Kubeconfig(), "-root-ca-file=" + c.pki("ca.crt")},
		ready:     c.logSays("controllers", "ready"),
	}
}

func (c *Cluster) kubelet() part {
	return part{
		name: "kubelet", program: c.Program("kubelet"),
		arguments: []string{
			"-kubeconfig=" + c.Kubeconfig(), "-programs=" + c.programsFile(),
			"-run-dir=" + c.PodDir(), "-node-namespace=" + c.NodeNamespace(),
		},
		ready: c.logSays("kubelet", "ready"),
	}
}

func (c *Cluster) istiod(profile *Profile) part {
	return part{
		name: "istiod", program: c.Program("pilot-discovery"),
		arguments: []string{
			"discovery", "--kubeconfig=" + c.Kubeconfig(), "--registries=Kubernetes", "--clusterID=Kubernetes", "--domain=cluster.local",
			fmt.Sprintf("--httpAddr=0.0.0.0:%d", IstiodHTTP), fmt.Sprintf("--grpcAddr=0.0.0.0:%d", IstiodXDS),
			fmt.Sprintf("--secureGRPCAddr=0.0.0.0:%d", IstiodSecure),
			"--httpsAddr=0.0.0.0:15017", "--monitoringAddr=0.0.0.0:15014", "--ctrlz_port=0", "--log_output_level=default:info",
		},
		env:   profile.istiodEnv(),
		ready: func() error { return get(fmt.Sprintf("http://127.0.0.1:%d/ready", IstiodHTTP)) },
	}
}

// logSays waits for a line that ends with the given text.
func (c *Cluster) logSays(name, text string) func() error {
	return func() error {
		data, err := os.ReadFile(c.LogFile(name))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if strings.HasSuffix(strings.TrimSpace(line), " "+text) {
				return nil
			}
		}
		return errors.New("its log does not say " + text)
	}
}

// get wants a 2xx from a URL inside the node's namespace.
func get(url string) error {
	client := &http.Client{Timeout: time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}
