package suite

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	reportv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/gatewayapi"
)

// reportFile is committed: it is the public record of what conforms.
const reportFile = "gateway-api-v1.6.0.yaml"

// consistencyLimit is a third of the suite's default.
const consistencyLimit = 10 * time.Second

// TestConformance runs the suite. With -run-test=NAME it runs one test, and writes no report.
func TestConformance(t *testing.T) {
	excluded, err := gatewayapi.LoadExclusions()
	require.NoError(t, err)
	options := conformance.DefaultOptions(t)
	options.GatewayClassName = "istio"
	options.SupportedFeatures = excluded.SupportedFeatures()
	options.EnableAllSupportedFeatures = false
	options.SkipTests = append(options.SkipTests, excluded.TestNames()...)
	options.ConformanceProfiles = []suite.ConformanceProfileName{
		suite.GatewayHTTPConformanceProfileName, suite.GatewayTLSConformanceProfileName, suite.GatewayTCPConformanceProfileName,
		suite.GatewayGRPCConformanceProfileName,
	}
	// Addresses of a Gateway that istiod does not deploy: a Service of the suite's own, and none.
	hostname := gatewayv1.HostnameAddressType
	options.UsableNetworkAddresses = []gatewayv1.GatewaySpecAddress{
		{Type: &hostname, Value: "infra-backend-v1.gateway-conformance-infra.svc.cluster.local"},
	}
	options.UnusableNetworkAddresses = []gatewayv1.GatewaySpecAddress{{Type: &hostname, Value: "missing"}}
	options.Implementation = reportv1.Implementation{
		Organization: "selvedge", Project: "selvedge", URL: "https://selvedge.dev", Version: version(), Contact: []string{"@selvedge"},
	}
	// istiod and the gateway are quick here: what is not right after this time stays wrong.
	options.TimeoutConfig.MaxTimeToConsistency = consistencyLimit
	// The whole cluster goes away afterwards.
	options.CleanupBaseResources = false

	conformanceSuite, err := suite.NewConformanceTestSuite(options)
	require.NoError(t, err)
	conformanceSuite.Setup(t, tests.ConformanceTests)
	require.NoError(t, conformanceSuite.Run(t, tests.ConformanceTests))
	if options.RunTest != "" {
		return
	}
	report, err := conformanceSuite.Report()
	require.NoError(t, err)
	run.outcome = gatewayapi.NewOutcome(report, excluded, tests.ConformanceTests)
	text, err := yaml.Marshal(report)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(run.cluster.Root, "reports", reportFile), text, 0o644))
}

// version is what the report says was tested.
func version() string {
	if text := os.Getenv("SELVEDGE_VERSION"); text != "" {
		return text
	}
	return "0.1.0"
}
