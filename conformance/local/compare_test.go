package local

import (
	"reflect"
	"strings"
	"testing"

	clusterapi "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointapi "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// made reads messages of one type by their names.
func made[T proto.Message](t *testing.T, empty func() T, bodies map[string]string) Resources {
	t.Helper()
	resources := Resources{}
	for name, body := range bodies {
		message := empty()
		if err := protojson.Unmarshal([]byte(body), message); err != nil {
			t.Fatal(err)
		}
		if err := resources.add(name, message); err != nil {
			t.Fatal(err)
		}
	}
	return resources
}

func clusters(t *testing.T, bodies map[string]string) Resources {
	return made(t, func() *clusterapi.Cluster { return &clusterapi.Cluster{} }, bodies)
}

func TestEveryKindOfDifferenceIsNamed(t *testing.T) {
	istiod := clusters(t, map[string]string{
		"same":   `{"name": "same", "connectTimeout": "10s"}`,
		"field":  `{"connectTimeout": "10s", "lbPolicy": "LEAST_REQUEST"}`,
		"nested": `{"loadAssignment": {"endpoints": [{"priority": 1}, {"priority": 2}]}}`,
		"length": `{"loadAssignment": {"endpoints": [{"priority": 1}]}}`,
		"gone":   `{"name": "gone"}`,
	})
	folder := clusters(t, map[string]string{
		"same":   `{"name": "same", "connectTimeout": "10.0s"}`,
		"field":  `{"connectTimeout": "11s", "respectDnsTtl": true}`,
		"nested": `{"loadAssignment": {"endpoints": [{"priority": 1}, {"priority": 3}]}}`,
		"length": `{"loadAssignment": {"endpoints": []}}`,
		"new":    `{"name": "new"}`,
	})
	want := []Difference{
		{Key{"Cluster", "field"}, "connect_timeout", `"10s"`, `"11s"`},
		{Key{"Cluster", "field"}, "lb_policy", `"LEAST_REQUEST"`, ""},
		{Key{"Cluster", "field"}, "respect_dns_ttl", "", "true"},
		{Key{"Cluster", "gone"}, "", `{"name":"gone"}`, ""},
		{Key{"Cluster", "length"}, "load_assignment.endpoints", `[{"priority":1}]`, ""},
		{Key{"Cluster", "nested"}, "load_assignment.endpoints[1].priority", "2", "3"},
		{Key{"Cluster", "new"}, "", "", `{"name":"new"}`},
	}
	if got := compare(istiod, folder); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := compare(istiod, istiod); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestALongerListIsOneDifference(t *testing.T) {
	one := clusters(t, map[string]string{"a": `{"loadAssignment": {"endpoints": [{"priority": 1}, {"priority": 2}]}}`})
	other := clusters(t, map[string]string{"a": `{"loadAssignment": {"endpoints": [{"priority": 2}]}}`})
	got := compare(one, other)
	if len(got) != 1 || got[0].Path != "load_assignment.endpoints" {
		t.Errorf("%+v", got)
	}
}

func TestTheReportNamesResourceFieldAndValues(t *testing.T) {
	var shown strings.Builder
	key := Key{"Cluster", "a"}
	results := []Result{{
		Folder: &Folder{Name: "istiod/http"}, Compared: 3,
		Differences: []Difference{{key, "connect_timeout", `"10s"`, `"11s"`}, {key, "type", "", `"EDS"`}},
	}}
	passed, failed := Write(&shown, results, []Skipped{{"tcp", "a.yaml:1: no"}})
	if passed != 2 || failed != 1 {
		t.Errorf("%d passed, %d failed", passed, failed)
	}
	for _, text := range []string{"istiod/http: Cluster a\n", "connect_timeout\n", `istiod   "10s"`, `selvedge "11s"`, "(nothing)", "scenario tcp: a.yaml:1: no"} {
		if !strings.Contains(shown.String(), text) {
			t.Errorf("%q is not in\n%s", text, shown.String())
		}
	}
}

func TestOnlyIstiodIsNormalised(t *testing.T) {
	istiod := clusters(t, map[string]string{
		"outbound|443||kubernetes.default.svc.cluster.local": `{}`,
		"outbound|80||t1.marker.selvedge.test":               `{}`,
		"outbound|80||mine.edge.svc.cluster.local":           `{}`,
		"BlackHoleCluster":                                   `{}`,
	})
	normalise(istiod)
	if len(istiod) != 2 || istiod[Key{"Cluster", "BlackHoleCluster"}] == nil || istiod[Key{"Cluster", "outbound|80||mine.edge.svc.cluster.local"}] == nil {
		t.Errorf("%v", istiod)
	}
}

func TestEndpointsOfALocalityAreSorted(t *testing.T) {
	assignment := func(ports string) Resources {
		return made(t, func() *endpointapi.ClusterLoadAssignment { return &endpointapi.ClusterLoadAssignment{} }, map[string]string{
			"a": `{"endpoints": [{"lbEndpoints": [` + ports + `]}]}`,
		})
	}
	at := func(address, port string) string {
		return `{"endpoint": {"address": {"socketAddress": {"address": "` + address + `", "portValue": ` + port + `}}}}`
	}
	istiod := assignment(at("10.0.0.2", "80") + "," + at("10.0.0.1", "1000") + "," + at("10.0.0.1", "90"))
	folder := assignment(at("10.0.0.1", "90") + "," + at("10.0.0.1", "1000") + "," + at("10.0.0.2", "80"))
	normalise(istiod)
	if got := compare(istiod, folder); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestConditionsOnTheQueryAreSorted(t *testing.T) {
	match := map[string]any{"query_parameters": []any{map[string]any{"name": "b"}, map[string]any{"name": "a"}}}
	sortQueryParameters(match)
	if got := text(match); got != `{"query_parameters":[{"name":"a"},{"name":"b"}]}` {
		t.Error(got)
	}
}

func TestEveryRuleSaysWhy(t *testing.T) {
	for _, rule := range rules {
		if rule.name == "" || len(rule.reason) < 40 || (rule.leaveOut == nil) == (rule.rewrite == nil) {
			t.Errorf("%q: %q", rule.name, rule.reason)
		}
	}
}
