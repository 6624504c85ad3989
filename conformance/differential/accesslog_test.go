package differential

import "testing"

const someLog = `2026-01-01T00:00:00Z starting
2026-01-01T00:00:01Z {"downstream_remote_address":"10.0.0.9:1000","downstream_local_address":"10.0.0.1:80","path":"/1"}
2026-01-01T00:00:02Z {"downstream_remote_address":"10.0.0.9:1000","downstream_local_address":"10.0.0.1:443","path":"/other"}
2026-01-01T00:00:03Z {"downstream_remote_address":"10.0.0.9:1000","downstream_local_address":"10.0.0.1:80","path":"/2"}
2026-01-01T00:00:04Z {"downstream_remote_address":"10.0.0.9:1000","downstream_local_address":"10.0.0.1:80","path":"/3"}
2026-01-01T00:00:05Z {broken
`

func TestEachRequestTakesItsLine(t *testing.T) {
	lines := parseLog([]byte(someLog))
	key := connectionKey("10.0.0.9:1000", "80")
	first, last := &Outcome{connection: key}, &Outcome{connection: key, order: 1, last: true}
	first.takeLog(lines)
	last.takeLog(lines)
	if len(first.Log) != 1 || first.Log[0]["path"] != "/1" {
		t.Errorf("first: %v", first.Log)
	}
	if len(last.Log) != 2 || last.Log[0]["path"] != "/2" || last.Log[1]["path"] != "/3" {
		t.Errorf("last: %v", last.Log)
	}
}

func TestARequestWithoutALineHasNone(t *testing.T) {
	outcome := &Outcome{connection: connectionKey("10.0.0.9:1000", "80"), order: 5}
	outcome.takeLog(parseLog([]byte(someLog)))
	if outcome.Log != nil {
		t.Errorf("%v", outcome.Log)
	}
}

func TestAKeyThatEnvoyDoesNotWriteIsNoticed(t *testing.T) {
	fields := map[string]string{}
	logFields("log ", map[string]any{"path": "/", "upstream_host": "-", "duration": 3.0, "extra": 1.0}, fields)
	if fields["log path"] != "/" || fields["log upstream_host"] != "unset" || fields["log duration"] != "set" || fields["log extra"] != "1" {
		t.Errorf("%v", fields)
	}
}
