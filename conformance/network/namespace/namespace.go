// Package namespace makes network namespaces that have no name: a file of this process holds each of them, so
// that nothing is left of them when the process ends, however it ends.
package namespace

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/bench/machine"
)

// ownFile is the network namespace of the thread that opens it.
const ownFile = "/proc/thread-self/ns/net"

// Namespace is a network namespace.
type Namespace struct {
	// Name is for messages.
	Name string

	file *os.File
	// work runs on one thread that stays in the namespace: processes are told to end with the thread that
	// started them.
	work chan func()
}

// New makes a namespace with the loopback interface alone.
func New(name string) (*Namespace, error) {
	n, err := enter(name, func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err != nil {
		return nil, fmt.Errorf("a network namespace for %s: %w", name, err)
	}
	// Of IPv4's settings a new namespace has those of the machine; these must not depend on them. IPv6 would
	// send packets on its own.
	settings := map[string]string{
		"net/ipv4/ip_forward": "0", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
		"net/ipv4/conf/all/send_redirects": "0", "net/ipv4/conf/default/send_redirects": "0",
		"net/ipv6/conf/default/disable_ipv6": "1",
	}
	for setting, value := range settings {
		if err := n.Set(setting, value); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	if err := n.IP("link set lo up"); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Open takes a namespace that is there, by its file.
func Open(name, path string) (*Namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	n, err := enter(name, func() error { return unix.Setns(int(file.Fd()), unix.CLONE_NEWNET) })
	if err != nil {
		return nil, fmt.Errorf("the network namespace %s: %w", path, err)
	}
	return n, nil
}

// enter starts the thread that stays in the namespace.
func enter(name string, move func() error) (*Namespace, error) {
	n := &Namespace{Name: name, work: make(chan func())}
	entered := make(chan error)
	go func() {
		// Never unlocked: the thread ends with this goroutine and is not used for anything else.
		runtime.LockOSThread()
		err := move()
		if err == nil {
			n.file, err = os.Open(ownFile)
		}
		entered <- err
		if err != nil {
			return
		}
		for task := range n.work {
			task()
		}
	}()
	return n, <-entered
}

// Path is a file by which other programs find the namespace, as long as this process has it.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Close lets go of the namespace: it is gone with the processes and sockets in it.
func (n *Namespace) Close() error {
	close(n.work)
	return n.file.Close()
}

// Do calls f on a thread in the namespace. Sockets that f makes belong to the namespace for good; what f
// leaves running in other goroutines runs outside of it.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // As in enter.
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err != nil {
			err = fmt.Errorf("enter the network namespace of %s: %w", n.Name, err)
		} else {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// Start runs a command in the namespace, with its output in a file. It is killed when this process ends.
func (n *Namespace) Start(command *exec.Cmd, output string) (process *machine.Process, err error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan struct{})
	n.work <- func() {
		process, err = machine.Start(command, output)
		close(done)
	}
	<-done
	return process, err
}

// Run runs a command in the namespace to its end, with input, and gives what it has written.
func (n *Namespace) Run(input string, name string, arguments ...string) (output string, err error) {
	command := exec.Command(name, arguments...)
	command.Stdin = strings.NewReader(input)
	err = n.Do(func() error {
		data, err := command.CombinedOutput()
		output = string(data)
		return err
	})
	if err != nil {
		return output, fmt.Errorf("%s in %s: %w: %s", command, n.Name, err, strings.TrimSpace(output))
	}
	return output, nil
}

// IP runs commands of the program ip. Those behind one that fails are not run.
func (n *Namespace) IP(commands ...string) error {
	_, err := n.Run(strings.Join(commands, "\n")+"\n", "ip", "-batch", "-")
	return err
}

// Set writes a setting of the kernel that each namespace has for itself, like net/ipv4/ip_forward.
func (n *Namespace) Set(setting, value string) error {
	return n.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", setting), []byte(value), 0o644) })
}

// Listen on an address of the namespace.
func (n *Namespace) Listen(address string) (listener net.Listener, err error) {
	err = n.Do(func() error {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

// ListenUDP on an address of the namespace.
func (n *Namespace) ListenUDP(address string) (connection *net.UDPConn, err error) {
	err = n.Do(func() error {
		local, err := net.ResolveUDPAddr("udp4", address)
		if err != nil {
			return err
		}
		connection, err = net.ListenUDP("udp4", local)
		return err
	})
	return connection, err
}

// Dial by TCP from the namespace.
func (n *Namespace) Dial(dialer *net.Dialer, address string) (connection net.Conn, err error) {
	err = n.Do(func() error {
		connection, err = dialer.Dial("tcp4", address)
		return err
	})
	return connection, err
}
