package kubelet

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

// Config says which program stands for which image, and what every pod sees.
type Config struct {
	// Programs are tried in order; the first that matches a pod is what runs.
	Programs []Program `json:"programs"`
	// Hosts are extra lines of every pod's /etc/hosts.
	Hosts []string `json:"hosts"`
}

// Program is what runs in place of a container image.
type Program struct {
	// Image is a regular expression on the container's image.
	Image string `json:"image"`
	// Labels must all be set on the pod, with these values.
	Labels map[string]string `json:"labels,omitempty"`
	// Argv replaces the image's entrypoint; the container's args follow it.
	Argv []string `json:"argv"`
	// Files are host files shown read-only in the pod, by their path in the pod.
	Files map[string]string `json:"files,omitempty"`

	image *regexp.Regexp
}

// LoadConfig reads the JSON form of Config.
func LoadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config := &Config{}
	if err := json.Unmarshal(data, config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range config.Programs {
		program := &config.Programs[i]
		if program.image, err = regexp.Compile(program.Image); err != nil {
			return nil, fmt.Errorf("%s: program %d: %w", path, i, err)
		}
		if len(program.Argv) == 0 {
			return nil, fmt.Errorf("%s: program %d (%s) has no argv", path, i, program.Image)
		}
	}
	return config, nil
}

// program returns what runs for an image in a pod with these labels, or nil.
func (c *Config) program(image string, labels map[string]string) *Program {
	for i := range c.Programs {
		if c.Programs[i].matches(image, labels) {
			return &c.Programs[i]
		}
	}
	return nil
}

func (p *Program) matches(image string, labels map[string]string) bool {
	for key, value := range p.Labels {
		if labels[key] != value {
			return false
		}
	}
	return p.image.MatchString(image)
}
