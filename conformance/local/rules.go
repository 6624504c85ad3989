package local

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// rule is one wanted difference between istiod and a folder. It changes what istiod said into what a
// folder comes to; what the folder came to is never touched.
type rule struct {
	// name and reason are for the reader.
	name, reason string
	// leaveOut says that istiod alone has the resource.
	leaveOut func(Key) bool
	// rewrite changes an object within a resource in place.
	rewrite func(object map[string]any)
}

// rules are all of them. Whatever else differs is a failure.
var rules = []rule{
	{
		name:   "services of the cluster",
		reason: "istiod sends clusters of Services that are in the cluster and not in the folder: Kubernetes, istiod, the gateways, our marker",
		leaveOut: func(key Key) bool {
			// outbound|PORT|SUBSET|HOST
			host := key.Name[strings.LastIndex(key.Name, "|")+1:]
			return slices.Contains(clusterHosts, host) || strings.HasSuffix(host, markerSuffix)
		},
	},
	{
		name:   "tracing tags of the gateway",
		reason: "tags with the labels and the mesh of the gateway's pod; a gateway that serves a folder has neither",
		rewrite: func(object map[string]any) {
			tag, _ := object["tag"].(string)
			if literal, ok := object["literal"].(map[string]any); ok && slices.Contains(podTags, tag) {
				literal["value"] = "unknown"
			}
		},
	},
	{
		name:    "order of endpoints",
		reason:  "istiod takes the endpoints of one locality from a hash table, so their order says nothing; a folder sorts them",
		rewrite: sortEndpoints,
	},
	{
		name:    "order of query parameters",
		reason:  "all conditions of a route on query parameters must hold; istiod takes them from a hash table, a folder sorts them",
		rewrite: sortQueryParameters,
	},
}

// clusterHosts are the Services that no folder has.
var clusterHosts = []string{
	"kubernetes.default.svc.cluster.local", "istiod.istio-system.svc.cluster.local", "edge.edge.svc.cluster.local",
}

// podTags are the tags that istiod fills in from the pod's metadata.
var podTags = []string{"istio.canonical_service", "istio.mesh_id"}

// normalise applies the rules to what istiod sent.
func normalise(istiod Resources) {
	for _, rule := range rules {
		for key, resource := range istiod {
			if rule.leaveOut != nil && rule.leaveOut(key) {
				delete(istiod, key)
			} else if rule.rewrite != nil {
				eachObject(resource, rule.rewrite)
			}
		}
	}
}

// sortEndpoints sorts the endpoints of one locality by address and port.
func sortEndpoints(object map[string]any) {
	endpoints, ok := object["lb_endpoints"].([]any)
	if !ok {
		return
	}
	slices.SortStableFunc(endpoints, func(a, b any) int {
		return cmp.Or(cmp.Compare(addressOf(a), addressOf(b)), cmp.Compare(portOf(a), portOf(b)))
	})
}

// sortQueryParameters sorts the conditions of one route by the names of the parameters.
func sortQueryParameters(object map[string]any) {
	if parameters, ok := object["query_parameters"].([]any); ok {
		slices.SortStableFunc(parameters, func(a, b any) int { return cmp.Compare(nameOf(a), nameOf(b)) })
	}
}

func nameOf(object any) string {
	name, _ := field(object, "name").(string)
	return name
}

func addressOf(endpoint any) string {
	address, _ := field(endpoint, "endpoint", "address", "socket_address", "address").(string)
	return address
}

func portOf(endpoint any) int64 {
	number, _ := field(endpoint, "endpoint", "address", "socket_address", "port_value").(json.Number)
	port, _ := number.Int64()
	return port
}

// field follows names from object to object; nil if one of them is missing.
func field(value any, names ...string) any {
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}
