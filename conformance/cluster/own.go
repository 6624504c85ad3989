package cluster

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Own makes this program responsible for a cluster that it is about to enter: the cluster goes down
// when the returned function is called, or when the program is told to end.
func (c *Cluster) Own() (leave func()) {
	leave = func() {
		// Outside, the cluster is another program's, or none.
		if !c.Inside() {
			return
		}
		if err := c.Down(); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		leave()
		os.Exit(1)
	}()
	return leave
}
