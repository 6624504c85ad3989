package load

import (
	"fmt"
	"regexp"
)

var (
	h2loadFinished = regexp.MustCompile(`(?m)^finished in ([\d.]+)(us|ms|s|m),`)
	h2loadRequests = regexp.MustCompile(`(?m)^requests: .*?(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadTraffic  = regexp.MustCompile(`(?m)^traffic: .* \((\d+)\) data`)
)

// ParseH2load reads the report of h2load. It does not look at bodies and trailers, so that a call which
// failed looks like any other; but it counts the bytes of bodies, which tell: each response has so many,
// and at most so many responses were under way at the end.
func ParseH2load(report string, body, underWay int) (Result, error) {
	finished, requests := h2loadFinished.FindStringSubmatch(report), h2loadRequests.FindStringSubmatch(report)
	traffic := h2loadTraffic.FindStringSubmatch(report)
	if finished == nil || requests == nil || traffic == nil {
		return Result{}, fmt.Errorf("h2load reported no requests: %s", report)
	}
	done, succeeded := number(requests[1]), number(requests[2])
	result := Result{Units: succeeded, Seconds: number(finished[1]) * durationUnits[finished[2]]}
	// Timeouts are among the errors, and errors among the failures.
	if result.Errors = max(done-succeeded, number(requests[3]), number(requests[4]), number(requests[5])); result.Errors > 0 {
		result.FirstError = requests[0]
	}
	bytes, least := number(traffic[1]), succeeded*float64(body)
	if most := least + float64(underWay*body); result.Errors == 0 && (bytes < least || bytes > most) {
		result.Errors, result.FirstError = 1, fmt.Sprintf("%.0f responses of %d bytes had %.0f bytes in all", succeeded, body, bytes)
	}
	return result, nil
}
