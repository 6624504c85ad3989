package differential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryScenarioLoads(t *testing.T) {
	scenarios, err := LoadScenarios("scenarios", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(scenarios) < 80 {
		t.Errorf("%d scenarios, want at least 80", len(scenarios))
	}
}

func TestARequestIsRefusedWithAReason(t *testing.T) {
	cases := map[string]struct{ requests, reason string }{
		"no name":         {`[{send: GET /, expect: "200"}]`, "no name"},
		"two forms":       {`[{name: a, send: GET /, raw: b, expect: "200"}]`, "one of send"},
		"no expectation":  {`[{name: a, send: GET /}]`, "no expect"},
		"repeat alone":    {`[{name: a, send: GET /, repeat: 3, expect: "200"}]`, "repeat and shares"},
		"no target":       {`[{name: a, send: GET, expect: "200"}]`, "a method and a target"},
		"body of raw":     {`[{name: a, raw: b, body: c, expect: "200"}]`, "belong to send"},
		"unknown field":   {`[{name: a, sent: GET /, expect: "200"}]`, "unknown field"},
		"nothing":         {`[]`, "no requests"},
		"broken duration": {`[{name: a, send: GET /, expect: "200", afterPause: soon}]`, "invalid duration"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "broken")
			writeScenario(t, folder, "kind: A\nmetadata: {name: a}\n", "requests: "+c.requests)
			_, err := loadScenario(folder)
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want one with %q", err, c.reason)
			}
		})
	}
}

func TestTwoScenariosCannotOwnTheSameObject(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"one", "two"} {
		writeScenario(t, filepath.Join(folder, name), "kind: A\nmetadata: {name: same}\n", `requests: [{name: a, send: GET /, expect: "200"}]`)
	}
	_, err := LoadScenarios(folder, nil)
	if err == nil || !strings.Contains(err.Error(), "both define") {
		t.Errorf("error %v", err)
	}
}

func TestDefaultsComeFromTheName(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "here")
	writeScenario(t, folder, "kind: A\nmetadata: {name: a}\n", `requests: [{name: a, send: GET /, tls: {}, expect: "200"}]`)
	scenario, err := loadScenario(folder)
	if err != nil {
		t.Fatal(err)
	}
	request := scenario.Requests[0]
	if request.Host != "here.test" || request.Port != 443 || request.TLS.SNI != "here.test" || request.Gateway != "edge" {
		t.Errorf("%+v", request)
	}
	if scenario.Objects[0].GetNamespace() != Namespace {
		t.Errorf("namespace %q", scenario.Objects[0].GetNamespace())
	}
}

func writeScenario(t *testing.T, folder, config, requests string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"config.yaml": config, "requests.yaml": requests} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
