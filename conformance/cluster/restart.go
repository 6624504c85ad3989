package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// endLimit bounds the end of a process that was killed.
const endLimit = 5 * time.Second

// Restart lets another process take over from the gateway in a pod whose data plane is "restartable".
func (p *Pod) Restart() error {
	script, err := p.process("/bin/sh", restartPath)
	if err != nil {
		return err
	}
	return syscall.Kill(script, syscall.SIGHUP)
}

// Kill kills the gateway under test in a pod, and returns when it has ended.
func (p *Pod) Kill() error {
	gateway, err := p.process(gatewayPath)
	if err != nil {
		return err
	}
	if err := syscall.Kill(gateway, syscall.SIGKILL); err != nil {
		return err
	}
	for deadline := time.Now().Add(endLimit); !errors.Is(syscall.Kill(gateway, 0), syscall.ESRCH); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is there %s after it was killed", gateway, endLimit)
		}
	}
	return nil
}

// process is the one in the pod whose command line begins with these words.
func (p *Pod) process(words ...string) (int, error) {
	there, err := os.Stat("/run/netns/" + p.NetworkNamespace)
	if err != nil {
		return 0, err
	}
	namespaces, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return 0, err
	}
	var begin []byte
	for _, word := range words {
		begin = append(append(begin, word...), 0)
	}
	for _, namespace := range namespaces {
		// Processes end while they are looked at.
		here, err := os.Stat(namespace)
		if err != nil || !os.SameFile(here, there) {
			continue
		}
		process := filepath.Dir(filepath.Dir(namespace))
		command, err := os.ReadFile(filepath.Join(process, "cmdline"))
		if err == nil && bytes.HasPrefix(command, begin) {
			return strconv.Atoi(filepath.Base(process))
		}
	}
	return 0, fmt.Errorf("%s/%s does not run %v", p.Namespace, p.Name, words)
}
