// Package cluster runs a Kubernetes cluster of plain processes: etcd, kube-apiserver, the
// controllers, an unmodified istiod and the process kubelet, all in one network namespace without
// a route out. Several clusters may run side by side under different names.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// DefaultName is the cluster's name when nobody chose one.
const DefaultName = "lab"

// binaryVariable names the gateway under test.
const binaryVariable = "SELVEDGE_BINARY"

// EnvoyBinary as the name of the gateway under test is the real Envoy, to test the tests.
const EnvoyBinary = "envoy"

// validName keeps the names short, and free of the separator between cluster and pod.
var validName = regexp.MustCompile(`^[a-z0-9]{1,12}$`)

// Cluster says where the files of one cluster are. It need not run.
type Cluster struct {
	// Name tells clusters on one machine apart.
	Name string
	// Root is the conformance folder of the project.
	Root string

	// ended are closed when parts that this program started have ended.
	ended map[string]chan struct{}
}

// New returns the cluster of that name, for the project around the working directory or the
// folder in the variable SELVEDGE_CONFORMANCE.
func New(name string) (*Cluster, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("cluster name %q: want 1 to 12 of a-z and 0-9", name)
	}
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	return &Cluster{Name: name, Root: root, ended: map[string]chan struct{}{}}, nil
}

func findRoot() (string, error) {
	if root := os.Getenv("SELVEDGE_CONFORMANCE"); root != "" {
		return filepath.Abs(root)
	}
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; directory != "/"; directory = filepath.Dir(directory) {
		for _, candidate := range []string{directory, filepath.Join(directory, "conformance")} {
			if _, err := os.Stat(filepath.Join(candidate, "cluster", "profiles")); err == nil {
				return candidate, nil
			}
		}
	}
	return "", errors.New("not inside the project: set SELVEDGE_CONFORMANCE to its conformance folder")
}

// NodeNamespace is the network namespace of the node; those of pods are named after it.
func (c *Cluster) NodeNamespace() string { return "selvedge-" + c.Name }

// Program is the path of a program that setup built.
func (c *Cluster) Program(name string) string { return filepath.Join(c.Root, ".work", "bin", name) }

// Share is the path of a file that setup took from a module.
func (c *Cluster) Share(name string) string { return filepath.Join(c.Root, ".work", "share", name) }

// RunDir holds everything that one run of the cluster writes.
func (c *Cluster) RunDir() string { return filepath.Join(c.Root, ".work", "run", c.Name) }

// Kubeconfig is the cluster admin's; it works inside NodeNamespace.
func (c *Cluster) Kubeconfig() string { return c.pki("admin.kubeconfig") }

// PodDir is the run directory of the kubelet.
func (c *Cluster) PodDir() string { return filepath.Join(c.RunDir(), "pods") }

func (c *Cluster) pki(file string) string { return filepath.Join(c.RunDir(), "pki", file) }

// Envoy is the real Envoy, from the Python package that setup installed.
func (c *Cluster) Envoy() (string, error) {
	pattern := filepath.Join(c.Root, ".work", "venv", "lib", "python3*", "site-packages", "envoy", "_bin", "envoy")
	matches, err := filepath.Glob(pattern)
	if err != nil || len(matches) == 0 {
		return "", fmt.Errorf("no Envoy at %s: run conformance/setup", pattern)
	}
	return matches[0], nil
}

// Selvedge is the gateway under test: SELVEDGE_BINARY, or the newest build in the project.
func (c *Cluster) Selvedge() (string, error) {
	candidates := []string{filepath.Join(c.Root, "..", "target", "ci", "selvedge"), filepath.Join(c.Root, "..", "target", "debug", "selvedge")}
	chosen := os.Getenv(binaryVariable)
	if chosen == EnvoyBinary {
		return c.Envoy()
	}
	if chosen != "" {
		candidates = []string{chosen}
	}
	for _, candidate := range candidates {
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() {
			return filepath.Abs(candidate)
		}
	}
	return "", fmt.Errorf("no selvedge binary at %v: build it, or set SELVEDGE_BINARY", candidates)
}
