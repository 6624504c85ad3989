package differential

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"selvedge.dev/conformance/cluster"
)

// adminPort is the gateway's admin port, on its own loopback.
const adminPort = 15000

// istioctlName stands in the place of a scenario's name for what istioctl shows.
const istioctlName = "istioctl"

// views are what "istioctl proxy-config" shows, and the admin page that it reads for that.
var views = []struct {
	name, page string
	// columns is how many columns are compared; 0 means all. Secrets show serial numbers and times,
	// filters by discovery their types: the agent beside the oracle changes those.
	columns int
}{
	{"listeners", "/config_dump", 0},
	{"routes", "/config_dump", 0},
	{"clusters", "/config_dump", 0},
	{"endpoints", "/clusters?format=json", 0},
	{"secrets", "/config_dump", 1},
	{"ecds", "/config_dump", 1},
}

// noSuchRows is how istioctl fails for a gateway without any resource of a kind: Envoy leaves that part out
// of its dump.
const noSuchRows = "config dump has no configuration type"

// headings are the first line of each view. A gateway without any resource of a kind may have another one, or none.
var headings = regexp.MustCompile(`^(ADDRESSES|NAME|SERVICE FQDN|ENDPOINT|RESOURCE NAME|ECDS NAME|No active or warming secrets)\b`)

// ownRows are rows about what a gateway brings along by itself, as Envoy does in its bootstrap.
var ownRows = regexp.MustCompile(`^(agent|prometheus_stats|sds-grpc|xds-grpc|zipkin|BlackHoleCluster|default|ROOTCA)\b` +
	`|(agent|prometheus_stats|sds-grpc|xds-grpc|zipkin)$|:?15(000|010|012|020|021|090)\b|\bbackend\b|/stats/prometheus`)

// Istioctl compares what Istio's own tool shows of both gateways' admin ports.
func (r *Runner) Istioctl() ([]Difference, error) {
	folder := filepath.Join(r.Cluster.RunDir(), "istioctl")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	p := r.pairs["edge"]
	var differences []Difference
	for _, view := range views {
		oracle, err := r.show(p.oracle, view.name, view.page, folder, view.columns)
		if err != nil {
			return nil, err
		}
		request := "proxy-config " + view.name
		subject, err := r.show(p.subject, view.name, view.page, folder, view.columns)
		if err != nil {
			differences = append(differences, Difference{Scenario: istioctlName, Request: request, Field: "output", Oracle: fmt.Sprintf("%d rows", len(oracle)), Subject: err.Error()})
			continue
		}
		r.Progress("istioctl %s: %d rows of the oracle, %d of the subject", request, len(oracle), len(subject))
		differences = append(differences, compareRows(request, oracle, subject)...)
	}
	for i, message := range r.notSynced {
		differences = append(differences, Difference{Scenario: istioctlName, Request: "proxy-status", Field: statusField(i, message), Subject: message})
	}
	return differences, nil
}

// statusField names a message of proxy-status: by what is not synced, by the first resource that is refused,
// or else by its number.
func statusField(index int, message string) string {
	if _, kinds, found := strings.Cut(message, ": not synced: "); found {
		return "not synced: " + kinds
	}
	if _, refused, found := strings.Cut(message, " refused in whole or in part, the rest applied: "); found {
		name, _, _ := strings.Cut(refused, ": ")
		return "refused: " + name
	}
	return fmt.Sprintf("message %d", index+1)
}

// show returns the rows of one view of one gateway.
func (r *Runner) show(pod cluster.Pod, view, page, folder string, columns int) (map[string]bool, error) {
	dump, err := pod.Get(adminPort, page)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pod.Name, err)
	}
	file := filepath.Join(folder, pod.Name+"-"+view+".json")
	if err := os.WriteFile(file, dump, 0o644); err != nil {
		return nil, err
	}
	output, err := exec.Command(r.Cluster.Program("istioctl"), "proxy-config", view, "--file", file).CombinedOutput()
	if strings.Contains(string(output), noSuchRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("istioctl proxy-config %s: %w: %.300s", view, err, output)
	}
	return rowsOf(string(output), columns), nil
}

// rowsOf are the rows of a view about what istiod has sent, cut to so many columns.
func rowsOf(output string, columns int) map[string]bool {
	rows := map[string]bool{}
	for line := range strings.Lines(output) {
		if headings.MatchString(line) {
			continue
		}
		words := strings.Fields(line)
		if columns > 0 && len(words) > columns {
			words = words[:columns]
		}
		if row := strings.Join(words, " "); row != "" && !ownRows.MatchString(row) {
			rows[row] = true
		}
	}
	return rows
}

// compareRows lists the rows that only one of the two shows.
func compareRows(request string, oracle, subject map[string]bool) []Difference {
	var differences []Difference
	for _, row := range sortedKeys(oracle) {
		if !subject[row] {
			differences = append(differences, Difference{Scenario: istioctlName, Request: request, Field: "missing: " + row, Oracle: "shown"})
		}
	}
	for _, row := range sortedKeys(subject) {
		if !oracle[row] {
			differences = append(differences, Difference{Scenario: istioctlName, Request: request, Field: "extra: " + row, Subject: "shown"})
		}
	}
	return differences
}
