package measure

import (
	"fmt"
	"io"
	"slices"

	"selvedge.dev/conformance/bench/peer"
)

// Result is a row measured through all peers.
type Result struct {
	Work
	Peers []PeerResult
}

// PeerResult is what one peer needed for a row.
type PeerResult struct {
	Peer    *peer.Peer
	Samples []Sample
}

// Rounds measures a row through every peer once, then through every peer again, and so on.
func Rounds(work Work, peers []*peer.Peer, setup *peer.Setup, rounds int, timing Timing, progress io.Writer) (Result, error) {
	result := Result{Work: work}
	for _, p := range peers {
		if !work.TCP || !p.HTTPOnly {
			result.Peers = append(result.Peers, PeerResult{Peer: p})
		}
	}
	if work.ConstantRate() {
		result.Peers = append(result.Peers, PeerResult{Peer: peer.None()})
	}
	for round := range rounds {
		for i := range result.Peers {
			sample, err := quietRun(work, result.Peers[i].Peer, setup, timing)
			if err != nil {
				return result, err
			}
			result.Peers[i].Samples = append(result.Peers[i].Samples, sample)
			_, _ = fmt.Fprintf(progress, "%-16s %-4s round %d  %-15s %s\n", work.Name, work.Layout.Name, round+1, result.Peers[i].Peer.Name, sample.line(work.Unit))
		}
	}
	return result, nil
}

// quietRun repeats a run that others disturbed.
func quietRun(work Work, p *peer.Peer, setup *peer.Setup, timing Timing) (Sample, error) {
	if timing.Hasty {
		return run(work, p, setup, timing), nil
	}
	for attempt := 0; ; attempt++ {
		if err := awaitQuiet(); err != nil {
			return Sample{}, err
		}
		sample := run(work, p, setup, timing)
		if sample.Foreign <= spoiled || attempt == repeats {
			return sample, nil
		}
	}
}

func (s Sample) line(unit Unit) string {
	if s.Errors > 0 {
		return fmt.Sprintf("%.0f errors: %s", s.Errors, s.FirstError)
	}
	if s.P99 > 0 {
		return fmt.Sprintf("p50 %.0f us, p99 %.0f us, p99.9 %.0f us  %10.1f %s  proxy core %.2f load core %.2f foreign %.2f", s.Median, s.P99, s.P999, s.Rate, unit.Rate, s.ProxyCore, s.LoadCore, s.Foreign)
	}
	return fmt.Sprintf("%8.2f %s  %10.1f %s  proxy core %.2f load core %.2f foreign %.2f", s.Cost, unit.Cost, s.Rate, unit.Rate, s.ProxyCore, s.LoadCore, s.Foreign)
}

// Errors of all runs, and the first one's reason.
func (r PeerResult) Errors() (count float64, first string) {
	for _, sample := range r.Samples {
		count += sample.Errors
		if first == "" {
			first = sample.FirstError
		}
	}
	return count, first
}

// Cost is the median of the runs that count, with the least and the most of all runs.
func (r PeerResult) Cost() (median, least, most float64) {
	cost := func(s Sample) float64 { return s.Cost }
	least, most = r.Range(cost)
	return r.Median(cost), least, most
}

// Range is the least and the most of some value in all runs.
func (r PeerResult) Range(value func(Sample) float64) (least, most float64) {
	all := values(r.Samples, value)
	return slices.Min(all), slices.Max(all)
}

// Median of some value over the runs that count.
func (r PeerResult) Median(value func(Sample) float64) float64 {
	sorted := values(r.counted(), value)
	slices.Sort(sorted)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// counted are the runs that others left alone if there are at least two, else all.
func (r PeerResult) counted() []Sample {
	var undisturbed []Sample
	for _, sample := range r.Samples {
		if sample.Foreign <= clean {
			undisturbed = append(undisturbed, sample)
		}
	}
	if len(undisturbed) >= 2 {
		return undisturbed
	}
	return r.Samples
}

func values(samples []Sample, value func(Sample) float64) []float64 {
	var list []float64
	for _, sample := range samples {
		list = append(list, value(sample))
	}
	return list
}
