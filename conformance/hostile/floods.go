package hostile

import (
	"fmt"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/flood"
	"selvedge.dev/conformance/hostile/recorder"
)

// honest are checks that limits hit nobody else.
var honest = []struct {
	name  string
	check func(*gateways.Running, *recorder.Recorder) ([]string, error)
}{
	{"floods: a busy client is none", flood.Busy},
	{"floods: a large download is none", flood.Download},
	{"floods: a stream of small messages is none", flood.SmallFrames},
	{"floods: prefaces that stop in the middle", flood.HalfPrefaces},
}

// floods attack Selvedge alone: how much Envoy bears is its own affair.
func (r *Runner) floods() error {
	for _, f := range flood.Floods() {
		name := "floods: " + f.Name
		if !r.chosen(name) {
			continue
		}
		result, err := flood.Run(r.Selvedge.Running, r.Selvedge.Backend, f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if r.Verbose {
			_, _ = fmt.Fprintf(r.Out, "%s: %d frames, %s; memory +%.1f MiB\n", name, result.Frames, result.How, result.Grown)
		}
		r.count(name, result.Wrong)
	}
	for _, one := range honest {
		if !r.chosen(one.name) {
			continue
		}
		wrong, err := one.check(r.Selvedge.Running, r.Selvedge.Backend)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		r.count(one.name, wrong)
	}
	return nil
}
