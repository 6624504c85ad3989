package differential

import (
	"fmt"
	"math"
	"strings"
)

// shareDeviations is how many standard deviations of independent choices a share may be off: by chance
// it is once in a hundred thousand times.
const shareDeviations = 4.5

// Verdict is what a run came to.
type Verdict struct {
	Scenarios, Requests int
	// Differences are all that were found; those with a reason are accepted.
	Differences []Difference
	// Broken are requests that the oracle did not answer as the scenario expects.
	Broken []string
	// Stale are accepted differences that no longer exist.
	Stale []string
	// Failed are the names of the scenarios with anything that is not accepted.
	Failed map[string]bool
}

// Judge compares all exchanges, and adds the differences that were found elsewhere.
func (r *Runner) Judge(scenarios []*Scenario, exchanges []*Exchange, others []Difference, accepted []*Accepted) *Verdict {
	verdict := &Verdict{Scenarios: len(scenarios), Requests: len(exchanges), Differences: others, Failed: map[string]bool{}}
	for _, exchange := range exchanges {
		name := exchange.Scenario.Name
		if exchange.Request.Repeat > 0 {
			verdict.judgeShares(exchange)
			continue
		}
		if summary := exchange.Oracle.Summary(); !strings.HasPrefix(summary, exchange.Request.Expect) {
			verdict.Broken = append(verdict.Broken, fmt.Sprintf("%s: %s: the oracle answers %q instead of %q", name, exchange.Request.Name, summary, exchange.Request.Expect))
			verdict.Failed[name] = true
		}
		verdict.Differences = append(verdict.Differences, compare(name, exchange.Request, exchange.Oracle, exchange.Subject, r.addresses(exchange))...)
	}
	accept(verdict.Differences, accepted)
	for _, difference := range verdict.Differences {
		if difference.Reason == "" {
			verdict.Failed[difference.Scenario] = true
		}
	}
	for _, row := range stale(accepted, scenarios) {
		verdict.Stale = append(verdict.Stale, fmt.Sprintf("%s / %s / %s", row.Scenario, row.Request, row.Field))
	}
	return verdict
}

// judgeShares wants the same distribution from both gateways: the one that the scenario names.
func (v *Verdict) judgeShares(exchange *Exchange) {
	oracle, wrong := shares(exchange.OracleShares, exchange.Request)
	if wrong {
		v.Broken = append(v.Broken, fmt.Sprintf("%s: %s: the oracle's shares are %s", exchange.Scenario.Name, exchange.Request.Name, oracle))
		v.Failed[exchange.Scenario.Name] = true
	}
	if subject, wrong := shares(exchange.SubjectShares, exchange.Request); wrong {
		v.Differences = append(v.Differences, Difference{
			Scenario: exchange.Scenario.Name, Request: exchange.Request.Name, Field: "shares", Oracle: oracle, Subject: subject,
		})
	}
}

// shares writes percentages out and says whether one is off.
func shares(counts map[string]int, request *Request) (text string, wrong bool) {
	total := 0
	for _, count := range counts {
		total += count
	}
	var parts []string
	for _, summary := range sortedKeys(counts) {
		percent := 100 * float64(counts[summary]) / float64(total)
		parts = append(parts, fmt.Sprintf("%q %.0f%%", summary, percent))
		if !isWanted(summary, request.Shares) {
			wrong = true
		}
	}
	for pattern, percent := range request.Shares {
		wanted, actual := percent/100, float64(counted(counts, pattern))/float64(total)
		if math.Abs(actual-wanted) > shareDeviations*math.Sqrt(wanted*(1-wanted)/float64(total)) {
			wrong = true
		}
	}
	return strings.Join(parts, ", "), wrong
}

func isWanted(summary string, shares map[string]float64) bool {
	for pattern := range shares {
		if matches(pattern, summary) {
			return true
		}
	}
	return false
}

// counted is the number of answers whose summary matches.
func counted(counts map[string]int, pattern string) int {
	sum := 0
	for summary, count := range counts {
		if matches(pattern, summary) {
			sum += count
		}
	}
	return sum
}

// Passed says whether nothing went wrong that is not accepted.
func (v *Verdict) Passed() bool { return len(v.Failed) == 0 && len(v.Stale) == 0 }

// Counts says how many scenarios, with istioctl's view as one more, passed and failed. A stale row of
// the list of accepted differences counts as a failure of its own.
func (v *Verdict) Counts() (passed, failed int) {
	return v.Scenarios + 1 - len(v.Failed), len(v.Failed) + len(v.Stale)
}

// Unlisted counts the differences that are not accepted.
func (v *Verdict) Unlisted() int {
	count := 0
	for _, difference := range v.Differences {
		if difference.Reason == "" {
			count++
		}
	}
	return count
}
