package suites

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/gateways"
)

//go:embed scripts
var scripts embed.FS

// lenient is the line of a script that Envoy fails, because it takes what the script says must be refused.
const lenient = "# Envoy is lenient here."

// runVarnishtest runs the scripts through the gateway under test and through Envoy.
func runVarnishtest(l *Lab) ([]Result, error) {
	var results []Result
	finds := map[string]func(*cluster.Cluster) (*gateways.Gateway, error){"": gateways.Selvedge, " on Envoy": gateways.Envoy}
	for _, suffix := range []string{"", " on Envoy"} {
		if suffix == "" && l.JudgeEnvoy {
			continue
		}
		gateway, err := l.start(finds[suffix], func(*gateways.Gateway) {})
		if err != nil {
			return nil, err
		}
		part, err := l.scripts(gateway, suffix)
		gateway.Stop()
		if err != nil {
			return nil, err
		}
		results = append(results, part...)
	}
	return results, nil
}

func (l *Lab) scripts(gateway *gateways.Running, suffix string) ([]Result, error) {
	entries, err := fs.ReadDir(scripts, "scripts")
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, entry := range entries {
		text, err := scripts.ReadFile("scripts/" + entry.Name())
		if err != nil {
			return nil, err
		}
		problem, err := l.script(gateway, entry.Name(), text)
		if err != nil {
			return nil, err
		}
		if gateway.Name == "envoy" && strings.Contains(string(text), lenient) {
			if problem == "" {
				problem = "Envoy passes: it is not lenient any more"
			} else {
				problem = ""
			}
		}
		results = append(results, Result{Name: strings.TrimSuffix(entry.Name(), ".vtc") + suffix, Problem: problem})
	}
	return results, nil
}

// script runs one script and returns why it failed.
func (l *Lab) script(gateway *gateways.Running, name string, text []byte) (string, error) {
	file := filepath.Join(l.Directory, name)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", err
	}
	output, err := l.command("varnishtest "+name+" "+gateway.Name, "varnishtest", "-t", "20",
		"-D", "gateway="+gateways.Address(gateway.HTTP), "-D", "backend="+gateways.Address(gateway.Backend), file)
	if err != nil {
		return "", err
	}
	if strings.Contains(output, "passed") && !strings.Contains(output, "FAILED") {
		return "", nil
	}
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "----") {
			return strings.TrimSpace(strings.TrimLeft(line, "- ")), nil
		}
	}
	return "", errors.Join(fmt.Errorf("varnishtest says neither that %s passed nor why not", name), errors.New(lastLines(output, 3)))
}
