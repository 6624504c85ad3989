package measure

import (
	"fmt"
	"io"
	"slices"

	"selvedge.dev/conformance/bench/peer"
)

// AtRate gives a row at a constant rate its rate: a share of what nginx reaches when it is asked for as
// much as it can do, in the same layout. That is taken from the results so far, or measured now.
func AtRate(work Work, results []Result, setup *peer.Setup, timing Timing, progress io.Writer) (Work, error) {
	saturated, err := saturatedRow(work, results, setup, timing, progress)
	if err != nil {
		return work, err
	}
	for _, p := range saturated.Peers {
		if count, first := p.Errors(); p.Peer.Name == peer.NginxName && count == 0 {
			work.Rate = int(work.share * p.Median(func(s Sample) float64 { return s.Rate }))
			return work, nil
		} else if p.Peer.Name == peer.NginxName {
			return work, fmt.Errorf("the rate of nginx is not known: %s", first)
		}
	}
	return work, fmt.Errorf("%s was measured without nginx, whose rate %s needs", saturated.Name, work.Name)
}

func saturatedRow(work Work, results []Result, setup *peer.Setup, timing Timing, progress io.Writer) (Result, error) {
	i := slices.IndexFunc(results, func(r Result) bool {
		return r.Name == work.saturated && r.Layout == work.Layout && slices.ContainsFunc(r.Peers, func(p PeerResult) bool { return p.Peer.Name == peer.NginxName })
	})
	if i >= 0 {
		return results[i], nil
	}
	selected, err := Select([]string{work.saturated + "@" + work.Layout.Name})
	if err != nil {
		return Result{}, err
	}
	nginx := slices.DeleteFunc(peer.All(), func(p *peer.Peer) bool { return p.Name != peer.NginxName })
	return Rounds(selected[0], nginx, setup, 1, timing, progress)
}

// direct leads a row to the backend itself.
func (w Work) direct() Work {
	row := *w.Row
	row.port, row.path = row.directPort, row.directPath
	w.Row = &row
	return w
}
