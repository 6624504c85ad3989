package measure

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
)

// self is this program, even if a newer build has taken its place on disk.
func self() string { return fmt.Sprintf("/proc/%d/exe", os.Getpid()) }

// command runs the row's generator for so long.
func (w Work) command(duration time.Duration) *exec.Cmd {
	seconds := strconv.Itoa(max(1, int(duration.Round(time.Second).Seconds())))
	scheme := "http"
	if w.tls {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s:%d%s", scheme, load.Host, w.port, w.path)
	switch w.generator {
	case wrk:
		return machine.Command(w.Layout.Load, wrk, "-t"+strconv.Itoa(w.Layout.Workers), "-c"+strconv.Itoa(w.connections), "--timeout", "5s",
			"-d"+seconds+"s", "-H", "Host: "+load.Host, url)
	case h2load:
		arguments := []string{"-t" + strconv.Itoa(w.Layout.Workers), "-c" + strconv.Itoa(w.connections), "-m" + strconv.Itoa(w.streams),
			"-D" + seconds, "-T5", "-N5", "-H", ":authority: " + load.Host}
		if w.grpc {
			arguments = append(arguments, "-H", "content-type: application/grpc", "-H", "te: trailers", "-d", load.MessageFile)
		}
		return machine.Command(w.Layout.Load, h2load, append(arguments, url)...)
	}
	return machine.Command(w.Layout.Load, self(), "load", w.generator, "-streams", strconv.Itoa(w.streams), "-rate", strconv.Itoa(w.Rate), "-port", strconv.Itoa(w.port),
		"-path", "/"+strings.TrimPrefix(w.path, "/"), "-connections", strconv.Itoa(w.connections), "-duration", duration.String())
}
