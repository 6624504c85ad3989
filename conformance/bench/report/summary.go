package report

import (
	"fmt"
	"slices"
	"strings"

	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/peer"
)

// summary is one table for each of ours: a line for each row, a column for each peer.
func (r *Report) summary() string {
	var text strings.Builder
	for _, own := range r.Peers {
		if !isOurs(own) || len(r.saturated()) == 0 {
			continue
		}
		var others []*peer.Peer
		for _, p := range r.Peers {
			if !isOurs(p) {
				others = append(others, p)
			}
		}
		fmt.Fprintf(&text, "## Cost of %s as a multiple of each peer\n\n| work | cost |", own.Title)
		for _, p := range others {
			fmt.Fprintf(&text, " %s |", p.Title)
		}
		fmt.Fprintf(&text, " goal |\n|---|---|%s---|\n", strings.Repeat("---|", len(others)))
		for _, row := range r.saturated() {
			text.WriteString(summaryLine(row, own, others))
		}
		text.WriteString("\n")
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// saturated are the rows in which every peer was asked for as much as it can do.
func (r *Report) saturated() []measure.Result {
	return slices.DeleteFunc(slices.Clone(r.Rows), func(row measure.Result) bool { return row.ConstantRate() })
}

func summaryLine(row measure.Result, own *peer.Peer, others []*peer.Peer) string {
	mine, found := find(row, own)
	if !found {
		return ""
	}
	cost := "failed"
	if errors, _ := mine.Errors(); errors == 0 {
		median, _, _ := mine.Cost()
		cost = fmt.Sprintf("%s %s", figure(median), row.Unit.Cost)
	}
	line := fmt.Sprintf("| %s, %s | %s |", row.Title, row.Layout.Title, cost)
	for _, p := range others {
		cell := ""
		if theirs, found := find(row, p); found {
			cell = ratio(mine, theirs)
		}
		line += fmt.Sprintf(" %s |", cell)
	}
	return line + fmt.Sprintf(" %s |\n", escape(row.Goal))
}

func find(row measure.Result, p *peer.Peer) (measure.PeerResult, bool) {
	for _, result := range row.Peers {
		if result.Peer == p {
			return result, true
		}
	}
	return measure.PeerResult{}, false
}
