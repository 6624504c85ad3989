package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"selvedge.dev/conformance/kubelet"
)

// DataplaneLabel on a gateway's pod chooses what runs in it: "envoy" is the real Envoy behind
// pilot-agent, "restartable" the gateway under test beneath a script that replaces it (Restart), "overlay" the
// gateway under test as an edge, beneath one that starts it again (Kill), anything else the gateway under test.
const DataplaneLabel = "selvedge.dev/dataplane"

// The gateway and the scripts in a pod.
const (
	gatewayPath = "/usr/local/bin/selvedge"
	restartPath = "/usr/local/bin/restart-on-hangup"
	joinPath    = "/usr/local/bin/join-overlay"
)

// gatewayImage is Istio's proxy image, as its templates name it.
const gatewayImage = `/proxyv2:`

func (c *Cluster) programsFile() string { return filepath.Join(c.RunDir(), "programs.json") }

// writePrograms tells the kubelet what stands for which image.
func (c *Cluster) writePrograms() error {
	config, err := c.programs()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.programsFile(), data, 0o644)
}

func (c *Cluster) programs() (*kubelet.Config, error) {
	oracle, err := c.envoyProgram()
	if err != nil {
		return nil, err
	}
	labelled := oracle
	labelled.Labels = map[string]string{DataplaneLabel: "envoy"}
	config := &kubelet.Config{
		Programs: []kubelet.Program{
			labelled,
			c.backend(`^selvedge/echo:`, "echo"),
			c.backend(`gateway-api/echo-(basic|advanced):`, "echo-basic"),
			// The UDPRoute tests' base manifests name it; those tests do not run.
			{Image: `coredns`, Argv: []string{"/bin/sh", "-c", "exec sleep infinity", "--"}},
		},
		Hosts: []string{
			fmt.Sprintf("%s istiod.%s.svc istiod.%s istiod.%s.svc.cluster.local", kubelet.NodeIP, systemNamespace, systemNamespace, systemNamespace),
			kubelet.NodeIP + " kubernetes.default.svc",
		},
	}
	if os.Getenv(binaryVariable) == EnvoyBinary {
		config.Programs = append(config.Programs, oracle)
	} else if selvedge, err := c.Selvedge(); err == nil {
		// Without a binary the cluster still serves for looking at Envoy and istiod alone.
		config.Programs = append(config.Programs, kubelet.Program{
			Image:  gatewayImage,
			Labels: map[string]string{DataplaneLabel: "restartable"},
			Argv:   []string{"/bin/sh", restartPath},
			Files:  map[string]string{gatewayPath: selvedge, restartPath: filepath.Join(c.Root, "cluster", "restart-on-hangup")},
		}, kubelet.Program{
			Image:  gatewayImage,
			Labels: map[string]string{DataplaneLabel: "overlay"},
			Argv:   []string{"/bin/sh", joinPath},
			Files:  map[string]string{gatewayPath: selvedge, joinPath: filepath.Join(c.Root, "cluster", "join-overlay")},
		}, kubelet.Program{
			Image: gatewayImage,
			Argv:  []string{gatewayPath},
			Files: map[string]string{gatewayPath: selvedge},
		})
	}
	return config, nil
}

// envoyProgram is the real Envoy behind pilot-agent, at the paths of Istio's own image.
func (c *Cluster) envoyProgram() (kubelet.Program, error) {
	envoy, err := c.Envoy()
	return kubelet.Program{
		Image: gatewayImage,
		Argv:  []string{"/usr/local/bin/pilot-agent"},
		Files: map[string]string{
			"/usr/local/bin/pilot-agent":                     c.Program("pilot-agent"),
			"/usr/local/bin/envoy":                           envoy,
			"/var/lib/istio/envoy/envoy_bootstrap_tmpl.json": c.Share("envoy_bootstrap.json"),
		},
	}, err
}

func (c *Cluster) backend(image, program string) kubelet.Program {
	path := "/usr/local/bin/" + program
	return kubelet.Program{Image: image, Argv: []string{path}, Files: map[string]string{path: c.Program(program)}}
}
