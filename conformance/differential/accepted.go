package differential

import (
	"fmt"
	"os"
	"strings"
)

// Accepted is one row of differences.md: where the gateways may differ, and why.
type Accepted struct {
	// Scenario, Request and Field are names, with "*" at the end for a prefix.
	Scenario, Request, Field string
	// Reason is what a user is told.
	Reason string

	used bool
}

// LoadAccepted reads the rows of all tables in a Markdown file that have four columns: scenario,
// request, field, reason. Names stand between backquotes.
func LoadAccepted(path string) ([]*Accepted, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows []*Accepted
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			return nil, fmt.Errorf("%s:%d: want the columns scenario, request, field and reason", path, number)
		}
		row := &Accepted{Scenario: name(cells[0]), Request: name(cells[1]), Field: name(cells[2]), Reason: strings.TrimSpace(cells[3])}
		if row.Scenario == "" || row.Request == "" || row.Field == "" || row.Reason == "" {
			return nil, fmt.Errorf("%s:%d: an empty cell", path, number)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func name(cell string) string { return strings.Trim(strings.TrimSpace(cell), "`") }

// accept gives each difference the reason of the first row that covers it.
func accept(differences []Difference, rows []*Accepted) {
	for i := range differences {
		difference := &differences[i]
		for _, row := range rows {
			if matches(row.Scenario, difference.Scenario) && matches(row.Request, difference.Request) && matches(row.Field, difference.Field) {
				difference.Reason, row.used = row.Reason, true
				break
			}
		}
	}
}

// stale returns the rows about scenarios that ran and no longer differ as the row says.
func stale(rows []*Accepted, scenarios []*Scenario) []*Accepted {
	var unused []*Accepted
	for _, row := range rows {
		if row.used {
			continue
		}
		for _, scenario := range scenarios {
			if row.Scenario == scenario.Name {
				unused = append(unused, row)
				break
			}
		}
	}
	return unused
}
