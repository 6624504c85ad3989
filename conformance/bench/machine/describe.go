package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Describe says in one line what machine this is.
func Describe() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	model := "unknown CPU"
	virtual := ""
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags":
			if strings.Contains(value, " hypervisor") {
				virtual = "virtual "
			}
		}
	}
	congestion, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %scores of %s, Linux %s %s, congestion control %s", runtime.NumCPU(), virtual, model,
		release(unix.ByteSliceToString(name.Release[:])), unix.ByteSliceToString(name.Machine[:]),
		strings.TrimSpace(string(congestion))), nil
}

// release keeps the version of a kernel and drops what its packager added.
func release(version string) string {
	base, _, _ := strings.Cut(version, "-")
	return base
}

// packages names the Debian package of each program that the benchmark needs.
var packages = map[string]string{
	"callgrind_control": "valgrind", "haproxy": "haproxy", "nginx": "nginx", "h2load": "nghttp2-client", "strace": "strace",
	"taskset": "util-linux", "unshare": "util-linux", "valgrind": "valgrind", "wrk": "wrk", "ip": "iproute2",
}

// Require says which packages to install for those of the programs that are missing.
func Require(programs ...string) error {
	var missing []error
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, fmt.Errorf("%s is missing: apt-get install %s", program, packages[program]))
		}
	}
	return errors.Join(missing...)
}

// RaiseFileLimit allows as many open files as the machine lets us, which must suffice for thousands of
// connections on both sides of a proxy. Programs started later inherit it.
func RaiseFileLimit() error {
	const enough = 20_000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < enough {
		return fmt.Errorf("only %d files may be open: run this with a hard limit of at least %d (ulimit -Hn)", limit.Max, enough)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}
