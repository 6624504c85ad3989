package differential

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// comparedLogFields are the keys of Istio's JSON log that depend on the request alone. The others
// (times, addresses that differ by nature) are checked for being set at all, by logFields.
var comparedLogFields = []string{
	"authority", "bytes_received", "bytes_sent", "connection_termination_details", "method", "path", "protocol",
	"requested_server_name", "response_code", "response_code_details", "response_flags", "route_name",
	"upstream_cluster", "user_agent", "x_forwarded_for",
}

// presentLogFields are compared by whether they have a value.
var presentLogFields = []string{
	"downstream_local_address", "downstream_remote_address", "duration", "request_id", "start_time",
	"upstream_host", "upstream_local_address", "upstream_service_time", "upstream_transport_failure_reason",
}

// formOnly begins the keys of a scenario's own log that are compared by the form of their values.
const formOnly = "form "

// digits are numbers and identities that differ from one request to the next.
var digits = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|-?[0-9]+`)

// parseLog reads the JSON lines of a gateway's output, by connection (connectionKey).
func parseLog(output []byte) map[string][]map[string]any {
	byConnection := map[string][]map[string]any{}
	for stamped := range strings.Lines(string(output)) {
		_, logged, _ := strings.Cut(stamped, " ") // behind the time
		if !strings.HasPrefix(logged, "{") {
			continue
		}
		var line map[string]any
		if json.Unmarshal([]byte(logged), &line) != nil {
			continue
		}
		client, local := text(line["downstream_remote_address"]), text(line["downstream_local_address"])
		if _, port, err := net.SplitHostPort(local); err == nil {
			key := connectionKey(client, port)
			byConnection[key] = append(byConnection[key], line)
		}
	}
	return byConnection
}

// connectionKey names a connection to one gateway: the system may use a client's port again for
// another port of the gateway.
func connectionKey(client, port string) string { return client + " to port " + port }

// takeLog picks the lines of one outcome: one for each request of a connection, in order; the last
// request gets what is left over.
func (o *Outcome) takeLog(byConnection map[string][]map[string]any) {
	lines := byConnection[o.connection]
	if o.connection == "" || o.order >= len(lines) {
		return
	}
	end := o.order + 1
	if o.last {
		end = len(lines)
	}
	o.Log = lines[o.order:end]
}

func logFields(prefix string, line map[string]any, fields map[string]string) {
	for _, key := range comparedLogFields {
		fields[prefix+key] = text(line[key])
	}
	for _, key := range presentLogFields {
		fields[prefix+key] = "unset"
		if value := text(line[key]); value != "" && value != "-" {
			fields[prefix+key] = "set"
		}
	}
	// Those of a scenario's own log.
	for key, value := range line {
		if _, known := fields[prefix+key]; known {
			continue
		}
		written, _ := json.Marshal(value)
		fields[prefix+key] = string(written)
		if strings.HasPrefix(key, formOnly) {
			fields[prefix+key] = digits.ReplaceAllString(string(written), "0")
		}
	}
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
