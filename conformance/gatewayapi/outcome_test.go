package gatewayapi

import (
	"slices"
	"strings"
	"testing"

	reportv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

func someTests() []suite.ConformanceTest {
	return []suite.ConformanceTest{
		{ShortName: "core-good", Features: []features.FeatureName{features.SupportGateway}},
		{ShortName: "core-bad", Features: []features.FeatureName{features.SupportHTTPRoute}},
		{ShortName: "extended-good", Features: []features.FeatureName{features.SupportHTTPRoute, features.SupportHTTPRouteMethodMatching}},
		{ShortName: "extended-bad", Features: []features.FeatureName{features.SupportHTTPRouteMethodMatching}},
		{ShortName: "forgotten", Features: []features.FeatureName{features.SupportGateway}},
		{ShortName: "left-out", Features: []features.FeatureName{features.SupportGateway}},
		{ShortName: "mesh", Features: []features.FeatureName{features.SupportMesh}},
	}
}

func TestEachTestIsCountedOnce(t *testing.T) {
	failed := reportv1.Status{FailedTests: []string{"core-bad", "extended-bad"}, SkippedTests: []string{"forgotten", "left-out"}}
	report := &reportv1.ConformanceReport{ProfileReports: []reportv1.ProfileReport{{Core: failed}, {Core: failed}}}
	excluded := &Exclusions{Features: []Exclusion{{Name: "Mesh"}}, Tests: []Exclusion{{Name: "left-out"}}}
	outcome := NewOutcome(report, excluded, someTests())
	if outcome.corePassed != 1 || outcome.extendedPassed != 1 || outcome.skipped != 2 {
		t.Errorf("%+v", outcome)
	}
	if !slices.Equal(outcome.coreFailed, []string{"core-bad"}) || !slices.Equal(outcome.extendedFailed, []string{"extended-bad"}) || !slices.Equal(outcome.unexpected, []string{"forgotten"}) {
		t.Errorf("%+v", outcome)
	}
	if outcome.Passed() {
		t.Error("passes with a failed core test")
	}
}

func TestExactlyTheListedExtendedTestsFail(t *testing.T) {
	if !(&Outcome{extendedFailed: []string{"a"}, failing: []string{"a"}}).Passed() {
		t.Error("a listed failure does not pass")
	}
	if (&Outcome{extendedFailed: []string{"a"}}).Passed() {
		t.Error("a failure that is not listed passes")
	}
	if (&Outcome{failing: []string{"a"}}).Passed() {
		t.Error("a listed failure that does not fail any more passes")
	}
	if (&Outcome{unexpected: []string{"a"}}).Passed() {
		t.Error("an unexpected skip passes")
	}
}

func TestWhatIsExcludedExistsAndHasAReason(t *testing.T) {
	excluded, err := LoadExclusions()
	if err != nil {
		t.Fatal(err)
	}
	known := features.SetsToNamesSet(features.AllFeatures)
	for _, feature := range excluded.Features {
		if !known.Has(features.FeatureName(feature.Name)) || strings.TrimSpace(feature.Reason) == "" {
			t.Errorf("feature %+v", feature)
		}
	}
	for _, test := range slices.Concat(excluded.Tests, excluded.Failing) {
		exists := slices.ContainsFunc(tests.ConformanceTests, func(t suite.ConformanceTest) bool { return t.ShortName == test.Name })
		if !exists || strings.TrimSpace(test.Reason) == "" {
			t.Errorf("test %+v", test)
		}
	}
}
