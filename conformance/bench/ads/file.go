package ads

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	// Every message that Envoy's and Istio's configurations hold in an Any.
	_ "github.com/cncf/xds/go/udpa/type/v1"
	_ "istio.io/api/envoy/config/filter/http/alpn/v2alpha1"
	_ "istio.io/api/envoy/extensions/stats"
	_ "istio.io/istio/pkg/config/xds"
)

// entry is a resource in a file.
type entry struct {
	Name     string          `json:"name"`
	Resource json.RawMessage `json:"resource"`
}

// Save writes resources as JSON.
func Save(file string, resources []Resource) error {
	order := func(r Resource) int { return slices.Index(pushOrder, r.Body.TypeUrl) }
	slices.SortStableFunc(resources, func(a, b Resource) int {
		if order(a) != order(b) {
			return order(a) - order(b)
		}
		return strings.Compare(a.Name, b.Name)
	})
	var entries []entry
	for _, resource := range resources {
		body, err := protojson.Marshal(resource.Body)
		if err != nil {
			return fmt.Errorf("%s: %w", resource.Name, err)
		}
		entries = append(entries, entry{resource.Name, body})
	}
	data, err := json.MarshalIndent(entries, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(bytes.TrimSpace(data), '\n'), 0o644)
}

// Load reads what Save wrote.
func Load(file string) ([]Resource, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var entries []entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var resources []Resource
	for _, e := range entries {
		body := &anypb.Any{}
		if err := protojson.Unmarshal(e.Resource, body); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, e.Name, err)
		}
		resources = append(resources, Resource{e.Name, body})
	}
	return resources, nil
}
