package machine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// AnyCore leaves a process unpinned.
const AnyCore = -1

// stopGrace is how long a process may take to end after SIGTERM.
const stopGrace = 3 * time.Second

// Command is a program pinned to one core at nice -5.
func Command(core int, name string, arguments ...string) *exec.Cmd {
	line := []string{"nice", "-n", "-5", name}
	if core != AnyCore {
		line = append([]string{"taskset", "-c", strconv.Itoa(core)}, line...)
	}
	line = append(line, arguments...)
	command := exec.Command(line[0], line[1:]...)
	// Nothing that the benchmark starts outlives it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command
}

// Process is a program that runs until it is stopped.
type Process struct {
	command *exec.Cmd
	output  string
	ended   chan struct{}
}

// Start runs the command with its output in a file.
func Start(command *exec.Cmd, output string) (*Process, error) {
	// Appending, as a log is written: a program may open /dev/stdout once more.
	file, err := os.OpenFile(output, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &Process{command: command, output: output, ended: make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// Await polls until the process is ready, has ended, or the time is up.
func (p *Process) Await(limit, every time.Duration, ready func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended:\n%s", p.command, p.Tail())
		case <-time.After(every):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s: %w\n%s", p.command, limit, err, p.Tail())
		}
	}
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopGrace):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// Kill ends the process without giving it time, and waits for it.
func (p *Process) Kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// Runs says whether the process has not ended yet.
func (p *Process) Runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Tail is the end of what the process has written.
func (p *Process) Tail() string {
	data, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(lines) > 10 {
		lines = lines[len(lines)-10:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
