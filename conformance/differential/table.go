package differential

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// shownValue is how much of a value the table shows.
const shownValue = 160

// Write prints the verdict: the differences that are not accepted, then the counts.
func (v *Verdict) Write(w io.Writer, verbose bool) {
	for _, broken := range v.Broken {
		_, _ = fmt.Fprintln(w, "BROKEN  ", broken)
	}
	for _, row := range v.Stale {
		_, _ = fmt.Fprintln(w, "STALE    differences.md lists what is not so any more:", row)
	}
	heading := ""
	for _, difference := range v.Differences {
		if difference.Reason != "" && !verbose {
			continue
		}
		if next := difference.Scenario + ": " + difference.Request; next != heading {
			heading = next
			_, _ = fmt.Fprintln(w, heading)
		}
		mark := "DIFFERS"
		if difference.Reason != "" {
			mark = "accepted (" + difference.Reason + ")"
		}
		_, _ = fmt.Fprintf(w, "    %-40s %s\n        envoy    %s\n        selvedge %s\n", difference.Field, mark, shown(difference.Oracle), shown(difference.Subject))
	}
	v.writeFrequent(w)
	unlisted := v.Unlisted()
	_, _ = fmt.Fprintf(w, "\n%-28s %6d\n%-28s %6d\n%-28s %6d\n%-28s %6d\n%-28s %6d\n%-28s %6d\n",
		"scenarios", v.Scenarios, "scenarios that differ", len(v.Failed), "requests", v.Requests,
		"differences, listed", len(v.Differences)-unlisted, "differences, not listed", unlisted,
		"broken scenarios or rows", len(v.Broken)+len(v.Stale))
}

// frequentFields is how many fields the table names at its end.
const frequentFields = 12

// writeFrequent lists the fields that differ most often: one cause is often behind many differences.
func (v *Verdict) writeFrequent(w io.Writer) {
	counts := map[string]int{}
	for _, difference := range v.Differences {
		if difference.Reason == "" {
			counts[difference.Field]++
		}
	}
	fields := sortedKeys(counts)
	sort.SliceStable(fields, func(i, j int) bool { return counts[fields[i]] > counts[fields[j]] })
	if len(fields) < 2 {
		return
	}
	_, _ = fmt.Fprintln(w, "\nfields that differ most often")
	for _, field := range fields[:min(len(fields), frequentFields)] {
		_, _ = fmt.Fprintf(w, "    %-50s %d times\n", field, counts[field])
	}
}

func shown(value string) string {
	value = strings.ReplaceAll(fmt.Sprintf("%q", value), `\"`, `"`)
	if len(value) > shownValue {
		return value[:shownValue] + fmt.Sprintf("... (%d bytes)", len(value))
	}
	return value
}
