// Command network builds labs in network namespaces (package network) and tests that they do what they say.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/checking"
	"selvedge.dev/conformance/network"
	"selvedge.dev/conformance/network/checks"
	"selvedge.dev/conformance/network/control"
)

const usage = `usage: network COMMAND

  check [PART OF A CHECK'S NAME...]
                              test that labs do what they say
  example                     write a topology, of three edges and two hubs
  up FILE                     build the topology in a file and keep it until interrupted

of a lab that is up, by its topology's name:

  show LAB                    its places, links, conditions and counters, as JSON
  exec LAB PLACE COMMAND...   run a command at a place
  set LAB LINK up|down [CONDITION...]
                              of a wire's direction, like delay=20ms jitter=2ms loss=1% duplicate=1%
                              reorder=1% held-back=5ms rate=10Mbit queue=65536 partition; nothing removes all
  partition LAB LINK          cut a wire both ways
  repair LAB LINK             and join it again
  rebind LAB LINK             give an uplink another public address
  forget LAB SITE             let the site's router forget all connections
  scan LAB LINK               ask all ports of an uplink from outside
  start LAB PLACE ID COMMAND...
                              start a process, which ends with the lab
  stop LAB ID                 end it
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
		os.Exit(1)
	}
}

// least is how many words commands need.
var least = map[string]int{
	"check": 0, "example": 0, "up": 1, "show": 1, "exec": 3, "set": 3, "partition": 2, "repair": 2, "rebind": 2, "forget": 2, "scan": 2,
	"start": 4, "stop": 2,
}

func run(command string, words []string) error {
	needed, known := least[command]
	if !known || len(words) < needed {
		return fmt.Errorf("%q is no command, or needs more\n%s", command, usage)
	}
	switch command {
	case "check":
		return check(words)
	case "example":
		text, err := yaml.Marshal(network.ThreeEdges())
		fmt.Printf("%s", text)
		return err
	case "up":
		return up(words[0])
	case "exec":
		return become(words[0], words[1], words[2:])
	case "start":
		return start(words[0], words[1], words[2], words[3:])
	case "set":
		return call(words[0], http.MethodPut, "/links/"+words[1]+"/"+words[2], []byte(strings.Join(words[3:], " ")))
	case "show":
		return call(words[0], http.MethodGet, "/state", nil)
	case "forget":
		return call(words[0], http.MethodPost, "/sites/"+words[1]+"/forget", nil)
	case "stop":
		return call(words[0], http.MethodDelete, "/processes/"+words[1], nil)
	}
	return call(words[0], http.MethodPost, "/links/"+words[1]+"/"+command, nil)
}

func check(only []string) error {
	if err := network.RequireRoot(); err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "selvedge-network-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	runner := &checking.Runner{Checks: checks.All(), Only: only, Directory: directory, Out: os.Stdout}
	counts := runner.Run()
	fmt.Printf("%d passed, %d failed, %d skipped\n", counts.Passed, counts.Failed, counts.Skipped)
	if counts.Failed > 0 {
		return errors.New("not all checks passed")
	}
	return nil
}

func up(file string) error {
	topology, err := network.Read(file)
	if err != nil {
		return err
	}
	directory := filepath.Join(os.TempDir(), "selvedge-network-"+topology.Name)
	lab, err := network.Build(topology, directory)
	if err != nil {
		return err
	}
	server, err := control.Serve(lab)
	if err != nil {
		return errors.Join(err, lab.Close())
	}
	fmt.Printf("lab %s is up; processes write to %s; interrupt to take it away\n", topology.Name, directory)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	return errors.Join(server.Close(), lab.Close())
}

// become runs a command at a place, in the place of this program.
func become(lab, place string, command []string) error {
	state, err := control.NewClient(lab).State()
	if err != nil {
		return err
	}
	where, found := state.Places[place]
	if !found {
		return fmt.Errorf("there is no place %q", place)
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	return syscall.Exec(nsenter, append([]string{"nsenter", "--net=" + where.Namespace, "--"}, command...), os.Environ())
}

func start(lab, place, id string, words []string) error {
	directory, err := os.Getwd()
	if err != nil {
		return err
	}
	body, err := json.Marshal(control.Command{Place: place, Words: words, Directory: directory})
	if err != nil {
		return err
	}
	return call(lab, http.MethodPut, "/processes/"+id, body)
}

// call sends a request to a lab and shows the answer.
func call(lab, method, path string, body []byte) error {
	answer, err := control.NewClient(lab).Call(method, path, body)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, bytes.TrimSpace(answer), "", "  "); err != nil {
		return err
	}
	fmt.Println(text.String())
	return nil
}
