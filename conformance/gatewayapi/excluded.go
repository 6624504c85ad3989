package gatewayapi

import (
	_ "embed"

	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"
)

//go:embed excluded.yaml
var excludedFile []byte

// Exclusion is one feature or test that is not run, or not passed.
type Exclusion struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Exclusions is the content of excluded.yaml.
type Exclusions struct {
	Features []Exclusion `json:"features"`
	Tests    []Exclusion `json:"tests"`
	// Failing are extended tests that run, and are known to fail.
	Failing []Exclusion `json:"failing"`
}

// LoadExclusions reads the file.
func LoadExclusions() (*Exclusions, error) {
	file := &Exclusions{}
	return file, yaml.UnmarshalStrict(excludedFile, file)
}

// SupportedFeatures are all that this release of Gateway API knows, less the excluded ones.
func (e *Exclusions) SupportedFeatures() []features.FeatureName {
	supported := features.SetsToNamesSet(features.AllFeatures)
	for _, excluded := range e.Features {
		supported.Delete(features.FeatureName(excluded.Name))
	}
	return supported.UnsortedList()
}

// TestNames are the excluded tests.
func (e *Exclusions) TestNames() []string { return names(e.Tests) }

// FailingNames are the extended tests that are known to fail.
func (e *Exclusions) FailingNames() []string { return names(e.Failing) }

func names(exclusions []Exclusion) []string {
	var names []string
	for _, exclusion := range exclusions {
		names = append(names, exclusion.Name)
	}
	return names
}
