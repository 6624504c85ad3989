package load

import (
	"fmt"
	"regexp"
	"strconv"
)

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in ([\d.]+)(us|ms|s|m),`)
	wrkSocket   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// durationUnits are what wrk and h2load write behind a duration, in seconds.
var durationUnits = map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}

// ParseWrk reads the report of wrk.
func ParseWrk(report string) (Result, error) {
	done := wrkRequests.FindStringSubmatch(report)
	if done == nil {
		return Result{}, fmt.Errorf("wrk reported no requests: %s", report)
	}
	result := Result{Units: number(done[1]), Seconds: number(done[2]) * durationUnits[done[3]]}
	if found := wrkSocket.FindStringSubmatch(report); found != nil {
		for _, count := range found[1:] {
			result.Errors += number(count)
		}
		result.FirstError = found[0]
	}
	if found := wrkStatus.FindStringSubmatch(report); found != nil {
		result.Errors += number(found[1])
		result.FirstError = found[0]
	}
	return result, nil
}

// number parses digits that a pattern has matched.
func number(digits string) float64 {
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0
	}
	return value
}
