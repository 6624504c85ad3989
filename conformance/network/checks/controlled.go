package checks

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network/control"
	"selvedge.dev/conformance/network/wire"
)

// controlled uses a lab as the program does, through its socket.
func controlled(t *trial) {
	topology := oneSite(wire.Conditions{})
	topology.Name = fmt.Sprintf("check-%d", os.Getpid())
	lab := t.build(topology)
	server, err := control.Serve(lab)
	require.NoError(t, err)
	t.Later(server.Close)
	_, err = control.Serve(lab)
	require.ErrorContains(t, err, "up already")
	_, err = control.NewClient("nobody").State()
	require.ErrorContains(t, err, "not up")

	client := control.NewClient(topology.Name)
	call := func(method, path, body string) string {
		answer, err := client.Call(method, path, []byte(body))
		require.NoError(t, err, path)
		return string(answer)
	}
	uplink := t.link(lab, "a/wan0")
	call(http.MethodPut, "/links/a/wan0/up", "delay=30ms rate=10Mbit")
	require.Equal(t, wire.Conditions{Delay: 30 * time.Millisecond, Rate: 10_000_000}, uplink.Wire.Conditions(wire.Up))
	require.Zero(t, uplink.Wire.Conditions(wire.Down))
	call(http.MethodPost, "/links/a/wan0/partition", "")
	require.True(t, uplink.Wire.Conditions(wire.Down).Partition)
	call(http.MethodPost, "/links/a/wan0/repair", "")
	require.False(t, uplink.Wire.Conditions(wire.Down).Partition)
	require.Contains(t, call(http.MethodPost, "/links/a/wan0/rebind", ""), lab.PublicAddress(uplink).String())
	call(http.MethodPost, "/sites/a/forget", "")
	for path, complaint := range map[string]string{"/links/a/wan0/up": "speed", "/links/a/wan1/up": "wan1", "/links/server/wan0/down": "speed"} {
		_, err = client.Call(http.MethodPut, path, []byte("speed=1"))
		require.ErrorContains(t, err, complaint)
	}
	_, err = client.Call(http.MethodPut, "/links/server/wan0/up", nil)
	require.ErrorContains(t, err, "not a wire")
	controlledProcesses(t, client, call)
}

func controlledProcesses(t *trial, client *control.Client, call func(method, path, body string) string) {
	call(http.MethodPut, "/processes/sleeper", `{"place": "a", "words": ["sleep", "1000"]}`)
	state, err := client.State()
	require.NoError(t, err)
	require.Equal(t, []string{"sleeper"}, state.Processes)
	require.Equal(t, 30*time.Millisecond, state.Links["a/wan0"].Up.Conditions.Delay)
	call(http.MethodDelete, "/processes/sleeper", "")
	state, err = client.State()
	require.NoError(t, err)
	require.Empty(t, state.Processes)
	// Others find the place by its file.
	output, err := exec.Command("nsenter", "--net="+state.Places["a"].Namespace, "--", "ip", "-o", "-4", "addr", "show").CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "10.42.0.2/16")
}
