package cluster

import (
	"embed"
	"fmt"
	"sort"

	"sigs.k8s.io/yaml"
)

//go:embed profiles/*.yaml
var profileFiles embed.FS

// Profile is one way to run istiod.
type Profile struct {
	// Name is the file's name in profiles/ without .yaml.
	Name string `json:"-"`
	// Env is what differs from istiod's own defaults.
	Env map[string]string `json:"env"`
	// MeshConfig is merged into the mesh configuration that Istio's charts render.
	MeshConfig map[string]any `json:"meshConfig"`
}

// LoadProfile reads one of the files in profiles/.
func LoadProfile(name string) (*Profile, error) {
	data, err := profileFiles.ReadFile("profiles/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no istiod profile %q", name)
	}
	profile := &Profile{Name: name, MeshConfig: map[string]any{}}
	if err := yaml.UnmarshalStrict(data, profile); err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return profile, nil
}

// istiodEnv is what istiod's Deployment sets, made quicker for tests, and then the profile's own.
func (p *Profile) istiodEnv() []string {
	env := map[string]string{
		"POD_NAMESPACE": systemNamespace, "POD_NAME": "istiod-node", "SERVICE_ACCOUNT": "istiod",
		"REVISION": "default", "CLUSTER_ID": "Kubernetes", "PILOT_CERT_PROVIDER": "istiod",
		"PILOT_TRACE_SAMPLING": "1", "CA_TRUSTED_NODE_ACCOUNTS": systemNamespace + "/ztunnel",
		"INJECTION_WEBHOOK_CONFIG_NAME": "istio-sidecar-injector", "VALIDATION_WEBHOOK_CONFIG_NAME": "istio-validator-" + systemNamespace,
		// One istiod: nothing to elect. Tests wait for pushes: do not hold them back.
		"ENABLE_LEADER_ELECTION": "false", "PILOT_DEBOUNCE_AFTER": "10ms", "PILOT_DEBOUNCE_MAX": "1s",
	}
	for name, value := range p.Env {
		env[name] = value
	}
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}
