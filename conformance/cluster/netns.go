package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"selvedge.dev/conformance/kubelet"
)

// insideVariable tells the copy of this program inside the node's namespace that it is there.
const insideVariable = "SELVEDGE_INSIDE"

// RequireRoot says in one line why nothing here works without privileges.
func RequireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root: it makes network and mount namespaces")
	}
	return nil
}

// EnterNode makes sure that this program runs inside the node's network namespace: outside, it
// starts itself again there and never returns.
func (c *Cluster) EnterNode() error {
	if c.Inside() {
		return nil
	}
	if err := RequireRoot(); err != nil {
		return err
	}
	if !c.namespaceExists() {
		return fmt.Errorf("cluster %q is not up", c.Name)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(insideVariable, c.Name); err != nil {
		return err
	}
	return Become(c.NodeNamespace(), append([]string{self}, os.Args[1:]...))
}

// Become replaces this program by a command inside a network namespace.
func Become(namespace string, command []string) error {
	wrapped := inNamespace(namespace, command...)
	path, err := exec.LookPath(wrapped[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, wrapped, os.Environ())
}

// inNamespace is the command line that runs a command inside a network namespace. Unlike "ip netns
// exec" it keeps the mount namespace, so that what the kubelet mounts is seen everywhere.
func inNamespace(namespace string, command ...string) []string {
	return append([]string{"nsenter", "--net=/run/netns/" + namespace, "--"}, command...)
}

// Inside says whether this program was started again by EnterNode.
func (c *Cluster) Inside() bool { return os.Getenv(insideVariable) == c.Name }

// createNamespace makes the node's namespace: loopback and the pods' bridge, no other interface.
func (c *Cluster) createNamespace() error {
	node := c.NodeNamespace()
	for _, command := range [][]string{
		{"netns", "add", node},
		{"-n", node, "link", "set", "lo", "up"},
		{"-n", node, "link", "add", kubelet.Bridge, "type", "bridge"},
		{"-n", node, "addr", "add", kubelet.NodeIP + "/16", "dev", kubelet.Bridge},
		{"-n", node, "link", "set", kubelet.Bridge, "up"},
	} {
		if err := ip(command...); err != nil {
			return err
		}
	}
	return nil
}

// removeNamespaces deletes the node's namespace and those of pods that a killed kubelet left behind.
func (c *Cluster) removeNamespaces() error {
	names, err := namespaces()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == c.NodeNamespace() || strings.HasPrefix(name, c.NodeNamespace()+"-") {
			if err := ip("netns", "del", name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cluster) namespaceExists() bool {
	names, err := namespaces()
	if err != nil {
		return false
	}
	for _, name := range names {
		if name == c.NodeNamespace() {
			return true
		}
	}
	return false
}

func namespaces() ([]string, error) {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return nil, fmt.Errorf("ip netns list: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			names = append(names, fields[0])
		}
	}
	return names, nil
}

func ip(arguments ...string) error {
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, out)
	}
	return nil
}
