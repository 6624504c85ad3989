package suites

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/cluster"
)

func TestReportOfH2spec(t *testing.T) {
	results, err := h2specResults("clear text", []byte(`<testsuites><testsuite package="http2/3.5">
		<testcase classname="Sends client connection preface"></testcase>
		<testcase classname="Sends invalid connection preface"><error>Timeout</error></testcase>
		<testcase classname="Another"><failure>Connection
			closed</failure></testcase>
		<testcase classname="Optional"><skipped></skipped></testcase></testsuite></testsuites>`))
	require.NoError(t, err)
	require.Len(t, results, 4)
	require.Equal(t, Result{Name: "clear text: http2/3.5 Sends client connection preface"}, results[0])
	require.NotEmpty(t, results[1].Skipped)
	require.Equal(t, "Connection closed", results[2].Problem)
	require.NotEmpty(t, results[3].Problem, "nothing is skipped that nobody knows of")
}

func TestSuiteThatStopsInTheMiddle(t *testing.T) {
	two := &suite{least: 2}
	require.Len(t, two.complete(make([]Result, 2)), 2)
	results := two.complete(make([]Result, 1))
	require.Equal(t, "there are 1 results instead of 2", results[1].Problem)
}

func TestSuiteWhoseProgramIsMissing(t *testing.T) {
	lab := &Lab{Cluster: &cluster.Cluster{Root: t.TempDir()}}
	results, err := lab.runOne(&suite{programs: []string{"tools/nothing"}})
	require.NoError(t, err)
	require.Contains(t, results[0].Problem, "tools/nothing is missing")
}

func TestReportOfConnect(t *testing.T) {
	results, err := connectResults("way", "FAILED: A/b/c:\n\texpected this\nTotal cases: 3\n2 passed, 1 failed\n")
	require.NoError(t, err)
	require.Equal(t, []Result{{Name: "way"}, {Name: "way"}, {Name: "way: A/b/c", Problem: "expected this"}}, results)
	_, err = connectResults("way", "no such port")
	require.Error(t, err)
	_, err = connectResults("way", "Total cases: 3\n2 passed, 1 failed\n")
	require.Error(t, err, "a failure that is not named")
}

func TestReportOfSlowhttptest(t *testing.T) {
	served := func(report string) bool {
		file := filepath.Join(t.TempDir(), "slow.csv")
		require.NoError(t, os.WriteFile(file, []byte(report), 0o644))
		ok, err := servedOthers(file)
		require.NoError(t, err)
		return ok
	}
	require.True(t, served("Seconds,Closed,Pending,Connected,Service Available\n0,0,2,0,1000\n1,0,0,2,1000\n"))
	require.False(t, served("Seconds,Closed,Pending,Connected,Service Available\n0,0,2,0,1000\n1,0,0,2,0\n"))
	require.False(t, served("Seconds,Closed,Pending,Connected,Service Available\n"))
}

func TestScanWithoutServer(t *testing.T) {
	_, err := scanResults([]byte(`{"server_scan_results": []}`))
	require.Error(t, err)
}
