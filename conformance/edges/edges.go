// Package edges measures edges that share services over an overlay, with real processes in a lab of namespaces: each
// check prints the figure by which it is judged.
package edges

import (
	"slices"

	"selvedge.dev/conformance/checking"
)

// Settings of a run.
type Settings struct {
	// WithoutLoad leaves out what measures cost and rates.
	WithoutLoad bool
	// Selvedge and Envoy are the programs.
	Selvedge, Envoy string
	// Long makes the checks as long as their figures are meant; without it they only show that they work.
	Long bool
}

// check is one of them.
type check struct {
	name string
	run  func(*trial)
}

// All checks.
func All(settings Settings) []checking.Check {
	var all []checking.Check
	checks := slices.Concat(callChecks, changeChecks, secretChecks, tenantChecks, failureChecks, datagramChecks)
	if !settings.WithoutLoad {
		checks = append(checks, loadChecks...)
	}
	for _, one := range checks {
		run := func(t *checking.Trial) { one.run(&trial{t, settings}) }
		all = append(all, checking.Check{Name: one.name, Run: run})
	}
	return all
}

// trial is one run of a check.
type trial struct {
	*checking.Trial
	settings Settings
}

// choose is the figure for a short or a long run.
func choose[T any](t *trial, short, long T) T {
	if t.settings.Long {
		return long
	}
	return short
}
