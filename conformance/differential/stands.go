package differential

import (
	"errors"
	"fmt"
	"net"

	"selvedge.dev/conformance/echo"
	"selvedge.dev/conformance/kubelet"
)

// firstStand and the ports behind it are those of backends that answer with their names, p1, p2, ..., on the node's address: unlike pods
// they have addresses that a ServiceEntry can name.
const (
	firstStand = 9911
	standCount = 4
)

// startStands starts the backends.
func startStands() (func(), error) {
	var listeners []net.Listener
	stop := func() {
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}
	for number := range standCount {
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", kubelet.NodeIP, firstStand+number))
		if err != nil {
			stop()
			return nil, err
		}
		listeners = append(listeners, listener)
		server := &echo.Server{
			Name:      fmt.Sprintf("p%d", number+1),
			Collector: fmt.Sprintf("http://%s:%d/seen", kubelet.NodeIP, collectorPort),
		}
		go func() {
			if err := server.ServeHTTP(listener); !errors.Is(err, net.ErrClosed) {
				fmt.Println("a backend of the scenarios:", err)
			}
		}()
	}
	return stop, nil
}
