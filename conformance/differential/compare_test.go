package differential

import (
	"testing"

	"selvedge.dev/conformance/echo"
)

var testAddresses = addresses{oracle: "10.0.0.1", subject: "10.0.0.2"}

func answered(headers ...string) *Outcome {
	return &Outcome{Result: "response", Response: &Response{Protocol: "HTTP/1.1", Status: 200, Reason: "OK", Headers: headers, Body: "v1\n", Framing: "length"}}
}

func fieldsThatDiffer(oracle, subject *Outcome, ignore ...string) []string {
	var names []string
	for _, difference := range compare("s", &Request{Ignore: ignore}, oracle, subject, testAddresses) {
		names = append(names, difference.Field)
	}
	return names
}

func expectFields(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("fields %q differ, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("fields %q differ, want %q", got, want)
		}
	}
}

func TestTheOrderOfDifferentHeadersIsNothing(t *testing.T) {
	expectFields(t, fieldsThatDiffer(answered("a: 1", "b: 2"), answered("b: 2", "a: 1")))
}

func TestTheOrderOfOneHeadersValuesCounts(t *testing.T) {
	expectFields(t, fieldsThatDiffer(answered("a: 1", "a: 2"), answered("a: 2", "a: 1")), "header a")
}

func TestTheCaseOfAHeadersNameCounts(t *testing.T) {
	expectFields(t, fieldsThatDiffer(answered("A: 1"), answered("a: 1")), "header A", "header a")
}

func TestTimesAndIdentitiesMayDiffer(t *testing.T) {
	oracle := answered("date: Mon", "x-envoy-upstream-service-time: 1")
	subject := answered("date: Tue", "x-envoy-upstream-service-time: 22")
	oracle.Seen = []*echo.Seen{{Headers: []string{"x-request-id: 11111111-2222-4333-8444-555555555555"}}}
	subject.Seen = []*echo.Seen{{Headers: []string{"x-request-id: 21111111-2222-4333-8444-555555555555"}}}
	expectFields(t, fieldsThatDiffer(oracle, subject))
}

func TestButNotTheirForm(t *testing.T) {
	expectFields(t, fieldsThatDiffer(answered("x-envoy-upstream-service-time: 1"), answered("x-envoy-upstream-service-time: 1ms")), "header x-envoy-upstream-service-time")
	expectFields(t, fieldsThatDiffer(answered("date: Mon"), answered()), "header date")
}

func TestAGatewaysOwnAddressAndTheRequestsOwnIdentityMayDiffer(t *testing.T) {
	oracle, subject := answered("x-by: 10.0.0.1", "x-id: a-1"), answered("x-by: 10.0.0.2", "x-id: a-2")
	oracle.id, subject.id = "a-1", "a-2"
	expectFields(t, fieldsThatDiffer(oracle, subject))
}

func TestWhatTheUpstreamSawIsCompared(t *testing.T) {
	oracle, subject := answered(), answered()
	oracle.Seen = []*echo.Seen{{Target: "/a"}}
	subject.Seen = []*echo.Seen{{Target: "/b"}}
	expectFields(t, fieldsThatDiffer(oracle, subject), "upstream target")
	expectFields(t, fieldsThatDiffer(oracle, subject, "upstream t*"))
}

func TestAnotherResultDiffers(t *testing.T) {
	expectFields(t, fieldsThatDiffer(&Outcome{Result: resultClosed}, &Outcome{Result: "alert unknown certificate authority"}), "result")
}

func TestConsequencesOfADifferenceAreNotListed(t *testing.T) {
	oracle, subject := answered("a: 1"), answered("a: 1")
	oracle.Seen = []*echo.Seen{{Target: "/a"}, {Target: "/b"}}
	subject.Seen = []*echo.Seen{{Target: "/c"}}
	oracle.Log = []map[string]any{{"path": "/a"}}
	expectFields(t, fieldsThatDiffer(oracle, subject), "log lines", "upstream requests")
	expectFields(t, fieldsThatDiffer(oracle, &Outcome{Result: resultClosed}), "result")
}
