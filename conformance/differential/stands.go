package differential

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"selvedge.dev/conformance/kubelet"
)

// firstStand and the ports behind it are those of servers that answer with their names, p1, p2, ..., on the node's address: unlike pods
// they have addresses that a ServiceEntry can name.
const (
	firstStand = 9911
	standCount = 4
)

// startStands starts the servers.
func startStands() (func(), error) {
	var servers []*http.Server
	stop := func() {
		for _, server := range servers {
			_ = server.Close()
		}
	}
	for number := range standCount {
		name := fmt.Sprintf("p%d\n", number+1)
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", kubelet.NodeIP, firstStand+number))
		if err != nil {
			stop()
			return nil, err
		}
		answer := func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte(name)) }
		server := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				fmt.Println("a server of the scenarios:", err)
			}
		}()
	}
	return stop, nil
}
