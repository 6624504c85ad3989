// Package local compares what the gateway makes of a folder of YAML by itself (selvedge run, crate
// xds/local) with what the real istiod sends to a gateway once the same YAML is in the cluster:
// listeners, route tables, clusters, endpoints and secrets, field by field.
package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	// Every message that Envoy's and Istio's configurations hold in an Any.
	_ "github.com/cncf/xds/go/udpa/type/v1"
	_ "istio.io/api/envoy/config/filter/http/alpn/v2alpha1"
	_ "istio.io/api/envoy/extensions/stats"
	_ "istio.io/istio/pkg/config/xds"
)

// Key names a resource: "Cluster" and "BlackHoleCluster".
type Key struct {
	// Kind is the last part of the message's name.
	Kind string
	// Name is the resource's own.
	Name string
}

func (k Key) String() string { return k.Kind + " " + k.Name }

// Resources are the messages by their names, as protobuf's JSON with the field names of the definitions.
type Resources map[Key]map[string]any

// add takes a message in.
func (r Resources) add(name string, message proto.Message) error {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	// Numbers stay as they are written.
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r[Key{string(message.ProtoReflect().Descriptor().Name()), name}] = fields
	return nil
}

// parseDump reads what "selvedge validate --dump" prints. The messages go through their definitions, so
// that both sides are written by the same hand.
func parseDump(data []byte) (Resources, error) {
	var entries []struct {
		TypeURL  string          `json:"type_url"`
		Name     string          `json:"name"`
		Resource json.RawMessage `json:"resource"`
	}
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, err
	}
	resources := Resources{}
	for _, entry := range entries {
		found, err := protoregistry.GlobalTypes.FindMessageByURL(entry.TypeURL)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", entry.TypeURL, entry.Name, err)
		}
		message := found.New().Interface()
		if err := protojson.Unmarshal(entry.Resource, message); err != nil {
			return nil, fmt.Errorf("%s %s: %w", entry.TypeURL, entry.Name, err)
		}
		if err := resources.add(entry.Name, message); err != nil {
			return nil, err
		}
	}
	return resources, nil
}

// golden writes resources the way xds/local keeps them: one line for each, sorted.
func (r Resources) golden() ([]byte, error) {
	kinds := map[string][]string{}
	for _, key := range sortedKeys(r) {
		var body bytes.Buffer
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(r[key]); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		kinds[key.Kind] = append(kinds[key.Kind], fmt.Sprintf("%q: %s", key.Name, bytes.TrimSpace(body.Bytes())))
	}
	var lists []string
	for _, kind := range sortedNames(kinds) {
		lists = append(lists, fmt.Sprintf("%q: {\n%s\n}", kind, strings.Join(kinds[kind], ",\n")))
	}
	return []byte("{\n" + strings.Join(lists, ",\n") + "\n}\n"), nil
}
