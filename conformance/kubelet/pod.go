package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// restartDelay is the pause before a program that ended is started again.
	restartDelay = time.Second
	// volumeRetryDelay is the pause before a pod whose volumes are not there yet is tried again.
	volumeRetryDelay = 200 * time.Millisecond
	// defaultGrace is Kubernetes' own default between SIGTERM and SIGKILL.
	defaultGrace = 30 * time.Second
)

// pod is one pod that runs here.
type pod struct {
	kubelet *Kubelet
	object  *corev1.Pod
	dir     string
	network network
	cancel  context.CancelFunc
	done    chan struct{}
	// hurry skips the grace period: the cluster is going away.
	hurry atomic.Bool
}

func (k *Kubelet) podDir(uid string) string { return filepath.Join(k.RunDir, uid) }

func (p *pod) String() string { return p.object.Namespace + "/" + p.object.Name }

func (p *pod) container() *corev1.Container { return &p.object.Spec.Containers[0] }

// run keeps the pod's program running until ctx ends.
func (p *pod) run(ctx context.Context) {
	defer close(p.done)
	defer func() { _ = os.RemoveAll(p.dir) }()
	if err := p.network.create(ctx); err != nil {
		log.Printf("%s: %v", p, err)
		return
	}
	defer p.network.remove()
	p.object.Status.PodIP = p.network.address

	program := p.kubelet.Config.program(p.container().Image, p.object.Labels)
	if program == nil {
		log.Printf("%s: no program stands for image %s", p, p.container().Image)
		p.writeStatus(ctx, status{waiting: "ImagePullBackOff"})
		<-ctx.Done()
		return
	}
	for restarts := 0; ctx.Err() == nil; {
		root, err := p.prepare(ctx, program)
		if err != nil {
			log.Printf("%s: %v", p, err)
			sleep(ctx, volumeRetryDelay)
			continue
		}
		if err := p.runOnce(ctx, root, restarts); err != nil {
			log.Printf("%s: %v", p, err)
		}
		restarts++
		if ctx.Err() == nil {
			p.writeStatus(ctx, status{restarts: restarts})
			sleep(ctx, restartDelay)
		}
	}
}

// runOnce starts the program and returns when it has ended, by itself or because ctx ended.
func (p *pod) runOnce(ctx context.Context, root *rootFS, restarts int) error {
	command, err := p.command(root)
	if err != nil {
		return err
	}
	output, err := openLog(p.kubelet.logPath(p.object.Namespace, p.object.Name))
	if err != nil {
		return err
	}
	defer output.Close()
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return err
	}
	log.Printf("%s: %s runs %s as process %d", p, p.network.address, root.Argv[0], command.Process.Pid)

	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()
	go p.probe(probing, restarts)

	select {
	case <-ended:
		log.Printf("%s: ended: %s", p, command.ProcessState)
	case <-ctx.Done():
		p.terminate(command.Process.Pid, ended)
	}
	// The program may have left children behind; they share its process group.
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	<-ended
	return nil
}

// command is this program again, in the pod's namespaces, told to become the pod's program.
func (p *pod) command(root *rootFS) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	specification, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(p.dir, "root.json")
	if err := os.WriteFile(file, specification, 0o600); err != nil {
		return nil, err
	}
	command := exec.Command("nsenter", "--net=/run/netns/"+p.network.namespace,
		"unshare", "--mount", "--uts", "--propagation", "private", self, BecomePod, file)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command, nil
}

func (p *pod) terminate(process int, ended <-chan struct{}) {
	grace := defaultGrace
	if seconds := p.object.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if p.hurry.Load() {
		grace = 0
	}
	_ = syscall.Kill(process, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(grace):
	}
}

// prepare lays out the pod's volumes, environment and arguments for one start.
func (p *pod) prepare(ctx context.Context, program *Program) (*rootFS, error) {
	environment, err := p.environment(ctx)
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	mounts, err := p.mounts(ctx)
	if err != nil {
		return nil, err
	}
	root := &rootFS{
		Path:     filepath.Join(p.dir, "root"),
		Hostname: p.object.Name,
		Argv:     append([]string{}, program.Argv...),
		Env:      environment.list(),
		Shown:    program.Files,
		Mounts:   mounts,
		Written:  p.etcFiles(),
	}
	for _, argument := range p.container().Args {
		root.Argv = append(root.Argv, environment.expand(argument))
	}
	return root, nil
}
