package gatewayapi

import (
	"fmt"
	"io"
	"slices"
	"sort"

	reportv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// Outcome is what a full run came to, each test counted once.
type Outcome struct {
	corePassed, extendedPassed int
	coreFailed, extendedFailed []string
	skipped                    int
	// unexpected are tests that were skipped although nothing excludes them.
	unexpected []string
	// failing are the extended tests that are known to fail.
	failing []string
}

// coreFeatures are those whose tests a conforming implementation must pass.
var coreFeatures = []features.FeatureName{
	features.SupportGateway, features.SupportReferenceGrant, features.SupportHTTPRoute, features.SupportTLSRoute, features.SupportTCPRoute,
}

// NewOutcome counts what the report says of all tests of the suite.
func NewOutcome(report *reportv1.ConformanceReport, excluded *Exclusions, all []suite.ConformanceTest) *Outcome {
	failed, skipped := map[string]bool{}, map[string]bool{}
	for _, profile := range report.ProfileReports {
		note(profile.Core, failed, skipped)
		if profile.Extended != nil {
			note(profile.Extended.Status, failed, skipped)
		}
	}
	supported, left := excluded.SupportedFeatures(), excluded.TestNames()
	result := &Outcome{failing: excluded.FailingNames()}
	for _, test := range all {
		core, runs := true, !slices.Contains(left, test.ShortName)
		for _, feature := range test.Features {
			core = core && slices.Contains(coreFeatures, feature)
			runs = runs && slices.Contains(supported, feature)
		}
		switch {
		case !runs:
			result.skipped++
		case skipped[test.ShortName]:
			result.unexpected = append(result.unexpected, test.ShortName)
		default:
			result.count(test.ShortName, core, failed[test.ShortName])
		}
	}
	sort.Strings(result.coreFailed)
	sort.Strings(result.extendedFailed)
	sort.Strings(result.failing)
	return result
}

func note(status reportv1.Status, failed, skipped map[string]bool) {
	for _, name := range status.FailedTests {
		failed[name] = true
	}
	for _, name := range status.SkippedTests {
		skipped[name] = true
	}
}

func (o *Outcome) count(name string, core, failed bool) {
	switch {
	case core && failed:
		o.coreFailed = append(o.coreFailed, name)
	case core:
		o.corePassed++
	case failed:
		o.extendedFailed = append(o.extendedFailed, name)
	default:
		o.extendedPassed++
	}
}

// Passed says whether the implementation conforms, and fails exactly the extended tests that are known to fail.
func (o *Outcome) Passed() bool {
	return len(o.coreFailed) == 0 && len(o.unexpected) == 0 && slices.Equal(o.extendedFailed, o.failing)
}

// Write prints the failures, the counts and the closing line.
func (o *Outcome) Write(w io.Writer) {
	for _, name := range o.coreFailed {
		_, _ = fmt.Fprintln(w, "FAILED (core)    ", name)
	}
	for _, name := range o.unexpected {
		_, _ = fmt.Fprintln(w, "SKIPPED          ", name, "although excluded.yaml does not list it")
	}
	for _, name := range o.extendedFailed {
		word := "FAILED (extended)"
		if slices.Contains(o.failing, name) {
			word = "known to fail    "
		}
		_, _ = fmt.Fprintln(w, word, name)
	}
	for _, name := range o.failing {
		if !slices.Contains(o.extendedFailed, name) {
			_, _ = fmt.Fprintln(w, "STALE            ", name, "passes, although excluded.yaml says that it fails")
		}
	}
	_, _ = fmt.Fprintf(w, "\n%-28s %6d passed %6d failed\n%-28s %6d passed %6d failed\n%-28s %6d skipped with a reason\n",
		"Gateway API core", o.corePassed, len(o.coreFailed), "Gateway API extended", o.extendedPassed, len(o.extendedFailed), "Gateway API", o.skipped)
	_, _ = fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n",
		o.corePassed+o.extendedPassed, len(o.coreFailed)+len(o.extendedFailed)+len(o.unexpected), o.skipped)
}
