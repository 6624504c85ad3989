package cluster

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	// startLimit bounds the start of one part, on a machine that does other things too.
	startLimit = 120 * time.Second
	// applyLimit bounds the wait for kinds to appear while manifests are applied.
	applyLimit = 60 * time.Second
)

// Up starts a cluster from nothing and returns when istiod is ready and pods can run. It must be
// called inside the node's namespace, which Prepare makes.
func (c *Cluster) Up(ctx context.Context, profile *Profile) (*Clients, error) {
	clients, err := c.Clients()
	if err != nil {
		return nil, err
	}
	if err := c.startAndAwait(c.etcd()); err != nil {
		return nil, err
	}
	if err := c.startAndAwait(c.apiserver(clients.Kubernetes)); err != nil {
		return nil, err
	}
	if err := c.install(ctx, clients, profile); err != nil {
		return nil, err
	}
	// These three do not wait for each other.
	parts := []part{c.controllers(), c.istiod(profile), c.kubelet()}
	for _, p := range parts {
		if err := c.start(p); err != nil {
			return nil, err
		}
	}
	for _, p := range parts {
		if err := c.await(p, startLimit); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// Enter makes sure that this program runs inside the node's namespace of a cluster that is up: a new
// one, or the one that is there. It starts this program again, so call it first.
func (c *Cluster) Enter(ctx context.Context, profileName string, reuse bool) error {
	if reuse {
		return c.EnterNode()
	}
	profile, err := LoadProfile(profileName)
	if err != nil {
		return err
	}
	if !c.Inside() {
		if err := c.Prepare(); err != nil {
			return err
		}
	}
	if err := c.EnterNode(); err != nil {
		return err
	}
	keepLock()
	_, err = c.Up(ctx, profile)
	return err
}

// Prepare removes what an earlier run left, and makes the files and the namespace of a new one.
func (c *Cluster) Prepare() error {
	if err := RequireRoot(); err != nil {
		return err
	}
	if err := c.lock(); err != nil {
		return err
	}
	if err := c.Down(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.RunDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(c.PodDir(), 0o755); err != nil {
		return err
	}
	if err := c.writePKI(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := c.writePrograms(); err != nil {
		return err
	}
	return c.createNamespace()
}

// Down stops what runs and removes the namespaces. Logs stay until the next Prepare.
func (c *Cluster) Down() error {
	for _, name := range partNames {
		if err := c.stop(name); err != nil {
			return err
		}
	}
	return c.removeNamespaces()
}

// Status returns one line for each part of the control plane, and whether all of them run.
func (c *Cluster) Status() (lines []string, running bool) {
	running = true
	for _, name := range partNames {
		if pid := c.pid(name); pid != 0 {
			lines = append(lines, fmt.Sprintf("%-12s running, process %d, log %s", name, pid, c.LogFile(name)))
		} else {
			lines = append(lines, fmt.Sprintf("%-12s not running", name))
			running = false
		}
	}
	return lines, running
}

// install puts the kinds of Gateway API and Istio, and Istio's configuration, into the API server.
func (c *Cluster) install(ctx context.Context, clients *Clients, profile *Profile) error {
	data, err := os.ReadFile(c.Share("gateway-api.yaml"))
	if err != nil {
		return fmt.Errorf("%w: run conformance/setup", err)
	}
	objects, err := ParseObjects(data)
	if err != nil {
		return err
	}
	istio, err := c.istioObjects(profile)
	if err != nil {
		return err
	}
	return clients.Apply(ctx, append(objects, istio...), applyLimit)
}

func (c *Cluster) startAndAwait(p part) error {
	if err := c.start(p); err != nil {
		return err
	}
	return c.await(p, startLimit)
}
