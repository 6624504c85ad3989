package ads

import (
	"slices"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// serveCaptured serves what istiod sent to Envoy.
func serveCaptured(t *testing.T) (*Server, []Resource) {
	t.Helper()
	resources, err := Load("../istio/envoy.json")
	if err != nil {
		t.Fatal(err)
	}
	server, err := Serve(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for _, resource := range resources {
		server.Set(resource.Body.TypeUrl, resource)
	}
	return server, resources
}

func names(resources []Resource) []string {
	var list []string
	for _, resource := range resources {
		list = append(list, resource.Body.TypeUrl+" "+resource.Name)
	}
	slices.Sort(list)
	return list
}

func TestWhatIsServedIsWhatIsFetched(t *testing.T) {
	server, resources := serveCaptured(t)
	fetched, err := Fetch(t.Context(), server.Address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(fetched), names(resources); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	file := t.TempDir() + "/saved.json"
	if err := Save(file, fetched); err != nil {
		t.Fatal(err)
	}
	again, err := Load(file)
	if err != nil || !slices.Equal(names(again), names(resources)) {
		t.Errorf("saved and loaded: %v, %v", names(again), err)
	}
}

func TestOnlyChangesOfWhatIsSubscribedToAreSent(t *testing.T) {
	server, _ := serveCaptured(t)
	connection, err := grpc.NewClient(server.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	receive := func() (kind string, resources []string) {
		t.Helper()
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, resource := range response.Resources {
			list = append(list, resource.Name)
		}
		return response.TypeUrl, list
	}
	subscribe := func(kind, name string) {
		t.Helper()
		if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: kind, ResourceNamesSubscribe: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(kind, name string) {
		t.Helper()
		if gotKind, got := receive(); gotKind != kind || !slices.Equal(got, []string{name}) {
			t.Errorf("got %s %v, want %s %s", gotKind, got, kind, name)
		}
	}
	server.mutex.Lock()
	body := server.resources[Route]["http.8080"].body
	server.mutex.Unlock()
	subscribe(Route, "http.8080")
	expect(Route, "http.8080")
	server.Set(Route, Resource{"other", body})
	// Secrets are sent after routes: a route that is not due would come before this one.
	server.Set(Secret, Resource{"secret", body})
	subscribe(Secret, "secret")
	expect(Secret, "secret")
	server.Set(Route, Resource{"http.8080", body})
	expect(Route, "http.8080")
}
