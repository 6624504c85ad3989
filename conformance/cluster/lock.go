package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// lockVariable carries the lock's file descriptor over to the copy of this program in the namespace.
const lockVariable = "SELVEDGE_LOCK"

// lock keeps other programs from replacing the cluster while this one uses it. The lock goes with the
// process; a cluster that is left running is free to be replaced.
func (c *Cluster) lock() error {
	path := filepath.Join(c.Root, ".work", "run", c.Name+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Not through package os: the descriptor must survive in the program that replaces this one.
	descriptor, err := syscall.Open(path, syscall.O_CREAT|syscall.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := syscall.Flock(descriptor, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("another program uses the cluster %q: wait for it, or take another name (-name)", c.Name)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Setenv(lockVariable, strconv.Itoa(descriptor))
}

// keepLock makes sure that the programs of the cluster do not inherit the lock.
func keepLock() {
	if descriptor, err := strconv.Atoi(os.Getenv(lockVariable)); err == nil {
		syscall.CloseOnExec(descriptor)
	}
}
