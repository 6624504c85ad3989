package differential

import (
	"strings"
	"testing"
)

func TestRowsOfOneGatewayOnly(t *testing.T) {
	differences := compareRows("clusters", map[string]bool{"a": true, "b": true}, map[string]bool{"b": true, "c": true})
	if len(differences) != 2 || differences[0].Field != "missing: a" || differences[1].Field != "extra: c" {
		t.Errorf("%+v", differences)
	}
}

func TestRowsAreCutAndHeadingsLeftOut(t *testing.T) {
	for output, want := range map[string]string{
		"RESOURCE NAME     TYPE\nkubernetes://a     Cert Chain     ACTIVE\ndefault     CA\n": "kubernetes://a",
		"No active or warming secrets found.\n":                                              "",
		"ECDS NAME     TYPE\n":                                                               "",
	} {
		if rows := sortedKeys(rowsOf(output, 1)); strings.Join(rows, " | ") != want {
			t.Errorf("%q: %q", output, rows)
		}
	}
}

func TestRowsAboutTheGatewayItselfAreLeftOut(t *testing.T) {
	for row, own := range map[string]bool{
		"agent - - - STATIC":                                                 true,
		"xds-grpc - - - STATIC":                                              true,
		"127.0.0.1:15020 HEALTHY OK agent":                                   true,
		"0.0.0.0 15021 ALL Inline Route: /healthz/ready*":                    true,
		"v1.edge.svc.cluster.local 80 - outbound EDS":                        false,
		"10.244.1.17:8080 HEALTHY OK outbound|80||v1.edge.svc.cluster.local": false,
		"0.0.0.0 8110 ALL Cluster: outbound|9000||v1.edge.svc.cluster.local": false,
		"kubernetes://tls-mutual":                                            false,
	} {
		if ownRows.MatchString(row) != own {
			t.Errorf("%q: own is %t", row, !own)
		}
	}
}

func TestMessagesOfProxyStatusAreNamed(t *testing.T) {
	for message, field := range map[string]string{
		"edge-subject-1: not synced: type.googleapis.com/x.Y (no answer, or a refusal)":                                "not synced: type.googleapis.com/x.Y (no answer, or a refusal)",
		"ADS:ECDS: ACK ERROR edge-subject-1 1 of 3 resources refused in whole or in part, the rest applied: a: b: why": "refused: a",
		"edge-subject-1 never served the last configuration":                                                           "message 3",
	} {
		if got := statusField(2, message); got != field {
			t.Errorf("%q: %q", message, got)
		}
	}
}
