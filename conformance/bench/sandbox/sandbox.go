// Package sandbox puts this program into a network and mount namespace of its own, so that every port
// is free and nothing it writes below /var/lib stays.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/bench/load"
)

// insideVariable tells the copy of this program in the namespaces that it is there.
const insideVariable = "SELVEDGE_BENCH_INSIDE"

// Enter starts this program again in new namespaces, unless it is there already. It returns only inside.
func Enter() error {
	if os.Getenv(insideVariable) != "" {
		return prepare()
	}
	if os.Geteuid() != 0 {
		return errors.New("this program needs root: it makes network and mount namespaces")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	line := append([]string{"unshare", "--net", "--mount", "--", self}, os.Args[1:]...)
	return syscall.Exec(unshare, line, append(os.Environ(), insideVariable+"=1"))
}

// hostsFile replaces /etc/hosts: wrk sends the name of its URL as the server name of TLS.
const hostsFile = "/run/hosts"

// prepare sets up the namespaces.
func prepare() error {
	for _, command := range []string{
		"ip link set lo up",
		"mount -t tmpfs -o mode=755 bench /var/lib",
		"mount -t tmpfs -o mode=755 bench /run",
	} {
		words := strings.Fields(command)
		if output, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, output)
		}
	}
	if err := os.WriteFile(hostsFile, []byte("127.0.0.1 localhost "+load.Host+"\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(hostsFile, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over /etc/hosts: %w", err)
	}
	if err := os.WriteFile(load.MessageFile, load.Message(), 0o644); err != nil {
		return err
	}
	// Thousands of new connections a second need more ports than the default; those that listen stay free.
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv4/ip_local_reserved_ports", []byte("15000-15100"), 0o644),
		os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("10000 65535"), 0o644),
	)
}
