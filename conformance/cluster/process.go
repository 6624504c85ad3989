package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a part may take to end after SIGTERM.
const stopGrace = 20 * time.Second

// part is one program of the control plane.
type part struct {
	name      string
	program   string
	arguments []string
	env       []string
	// ready returns nil once the part serves.
	ready func() error
}

func (c *Cluster) pidFile(name string) string { return filepath.Join(c.RunDir(), name+".pid") }

// LogFile is where a part of the control plane (etcd, apiserver, controllers, istiod, kubelet) logs.
func (c *Cluster) LogFile(name string) string { return filepath.Join(c.RunDir(), name+".log") }

// start runs the part in the background, in a session of its own, inside the node's namespace.
func (c *Cluster) start(p part) error {
	log, err := os.Create(c.LogFile(p.name))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	line := inNamespace(c.NodeNamespace(), append([]string{p.program}, p.arguments...)...)
	command := exec.Command(line[0], line[1:]...)
	command.Dir = c.RunDir()
	command.Env = append(os.Environ(), p.env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	pid := command.Process.Pid
	ended := make(chan struct{})
	c.ended[p.name] = ended
	go func() { _ = command.Wait(); close(ended) }()
	return os.WriteFile(c.pidFile(p.name), []byte(strconv.Itoa(pid)), 0o644)
}

// await polls until the part serves, it has ended, or the deadline passes.
func (c *Cluster) await(p part, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		err := p.ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s: %w; the end of its log:\n%s", p.name, limit, err, c.logTail(p.name))
		}
		select {
		case <-c.ended[p.name]:
			return fmt.Errorf("%s ended; the end of its log:\n%s", p.name, c.logTail(p.name))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pid returns the part's process, or 0 if it does not run. A pid file of an earlier boot may name a
// process that is not ours: its command line must name a program of ours.
func (c *Cluster) pid(name string) int {
	data, err := os.ReadFile(c.pidFile(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	commandLine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(commandLine), c.Program("")) {
		return 0
	}
	return pid
}

func (c *Cluster) running(name string) bool { return c.pid(name) != 0 }

// stop ends the part and waits: its ports are free when stop returns.
func (c *Cluster) stop(name string) error {
	pid := c.pid(name)
	if pid == 0 {
		return removeIfThere(c.pidFile(name))
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	for deadline := time.Now().Add(stopGrace); c.running(name); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			deadline = deadline.Add(stopGrace)
		}
	}
	return removeIfThere(c.pidFile(name))
}

// Suspend stops a part in its tracks: it neither answers nor closes its connections until resume is called.
func (c *Cluster) Suspend(name string) (resume func() error, err error) {
	pid := c.pid(name)
	if pid == 0 {
		return nil, fmt.Errorf("%s does not run", name)
	}
	return func() error { return syscall.Kill(pid, syscall.SIGCONT) }, syscall.Kill(pid, syscall.SIGSTOP)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (c *Cluster) logTail(name string) string {
	data, err := os.ReadFile(c.LogFile(name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return strings.Join(lines, "\n")
}
