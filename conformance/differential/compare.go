package differential

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Difference is one field in which the two gateways' outcomes of one request differ.
type Difference struct {
	Scenario, Request, Field string
	// Oracle and Subject are the values; empty means that there is none.
	Oracle, Subject string
	// Reason is that of the list of accepted differences; empty if the difference is not accepted.
	Reason string
}

var (
	uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	// A later try says how much of the time is left, which differs by what a machine takes.
	laterTry = regexp.MustCompile(`^upstream[0-9]`)
	number   = regexp.MustCompile(`^[0-9]+$`)
)

// mostLate is how many milliseconds a later try may be late without a difference, where whole seconds are left by its
// scenario.
const mostLate = 900

// compare lists the fields in which the outcomes differ.
func compare(scenario string, request *Request, oracle, subject *Outcome, addresses addresses) []Difference {
	left := normalised(oracle, addresses.oracle)
	right := normalised(subject, addresses.subject)
	names := map[string]bool{}
	for name := range left {
		names[name] = true
	}
	for name := range right {
		names[name] = true
	}
	var differences []Difference
	for _, name := range sortedKeys(names) {
		if name == fieldGoAway && (left[name] == "" || right[name] == "") {
			continue
		}
		if left[name] == right[name] || ignored(name, request.Ignore) || follows(name, left, right) {
			continue
		}
		differences = append(differences, Difference{
			Scenario: scenario, Request: request.Name, Field: name, Oracle: left[name], Subject: right[name],
		})
	}
	return differences
}

// addresses are those of the two pods: they are the only part of an answer that may differ freely.
type addresses struct{ oracle, subject string }

// normalised replaces what differs from one request to the next by what kind of value it is.
func normalised(outcome *Outcome, address string) map[string]string {
	fields := outcome.fields()
	own := regexp.MustCompile(`\b` + regexp.QuoteMeta(address) + `\b`)
	for name, value := range fields {
		if address != "" {
			value = own.ReplaceAllLiteralString(value, "<gateway>")
		}
		if outcome.id != "" {
			value = strings.ReplaceAll(value, outcome.id, "<id>")
		}
		switch _, header, _ := strings.Cut(name, "header "); strings.ToLower(header) {
		case "date":
			value = "<date>"
		case "x-request-id":
			if uuid.MatchString(value) {
				value = "<uuid>"
			}
		case "x-envoy-upstream-service-time":
			if number.MatchString(value) {
				value = "<number>"
			}
		case "x-envoy-expected-rq-timeout-ms":
			if left, err := strconv.Atoi(value); err == nil && laterTry.MatchString(name) {
				value = fmt.Sprint("about ", (left+mostLate)/1000*1000)
			}
		}
		fields[name] = value
	}
	return fields
}

// follows says whether a difference is only the consequence of a greater one: there is no answer to
// compare, or another number of upstream requests or log lines.
func follows(field string, left, right map[string]string) bool {
	for _, cause := range []struct{ field, consequences string }{
		{"result", "*"}, {"upstream requests", "upstream*"}, {"log lines", "log*"},
	} {
		if field != cause.field && left[cause.field] != right[cause.field] && matches(cause.consequences, field) {
			return true
		}
	}
	return false
}

func ignored(field string, patterns []string) bool {
	for _, pattern := range patterns {
		if matches(pattern, field) {
			return true
		}
	}
	return false
}

// matches compares a text with a pattern that may end with "*".
func matches(pattern, text string) bool {
	if prefix, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(text, prefix)
	}
	return pattern == text
}
