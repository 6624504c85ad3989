package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/certificate"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/kubelet"
)

const (
	// knowLimit bounds the way of a folder's objects to istiod.
	knowLimit = 20 * time.Second
	// agreeLimit is how long istiod may send something else after it knows the folder's last object:
	// it learns of every kind by another way.
	agreeLimit = 5 * time.Second
	// askInterval lies between two questions.
	askInterval = 100 * time.Millisecond
)

// Suite compares folders on a cluster that is up with the profile "local".
type Suite struct {
	// Cluster has the API server and istiod; the suite must be inside its node's namespace.
	Cluster *cluster.Cluster
	// Selvedge is the program under test.
	Selvedge string
	// Record writes what istiod sends into the golden files.
	Record bool
	// Progress is told what goes on, one line each.
	Progress func(format string, arguments ...any)

	clients     *cluster.Clients
	authorities certificate.Authorities
	installed   []*unstructured.Unstructured
}

// Result is what came of one folder.
type Result struct {
	Folder *Folder
	// Compared counts the resources of both sides.
	Compared int
	// Differences are empty if both sides agree.
	Differences []Difference
}

// Run compares the folders that carry one of the names, or all.
func (s *Suite) Run(ctx context.Context, names []string) (results []Result, skipped []Skipped, err error) {
	if s.clients, err = s.Cluster.Clients(); err != nil {
		return nil, nil, err
	}
	if s.authorities, err = certificate.Load(filepath.Join(s.Cluster.RunDir(), "authorities")); err != nil {
		return nil, nil, err
	}
	if err := s.authorities.AddIstio(ctx, s.clients.Kubernetes); err != nil {
		return nil, nil, err
	}
	folders, skipped, err := s.folders(names)
	if err != nil {
		return nil, nil, err
	}
	askers, err := s.startGateways(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if cleanUp := s.clients.Delete(ctx, s.installed); err == nil {
			err = cleanUp
		}
	}()
	for _, folder := range folders {
		result, err := s.compareFolder(ctx, folder, askers[folder.Gateway])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", folder.Name, err)
		}
		results = append(results, *result)
	}
	return results, skipped, nil
}

// folders are the committed ones, that of the scenarios, and those that names give by their paths.
func (s *Suite) folders(names []string) ([]*Folder, []Skipped, error) {
	all, err := committedFolders(filepath.Dir(s.Cluster.Root))
	if err != nil {
		return nil, nil, err
	}
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	var skipped []Skipped
	if wanted(scenariosName) {
		folder, excluded, err := scenarioFolder(s.Cluster.Root, s.authorities)
		if err != nil {
			return nil, nil, err
		}
		all, skipped = append(all, folder), excluded
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(folder *Folder) bool { return !wanted(folder.Name) })
	for _, name := range names {
		if slices.ContainsFunc(all, func(folder *Folder) bool { return folder.Name == name }) {
			continue
		}
		folder, err := folderAt(name)
		if err != nil {
			return nil, nil, err
		}
		chosen = append(chosen, folder)
	}
	return chosen, skipped, nil
}

// compareFolder asks until istiod agrees with the folder, or long enough.
func (s *Suite) compareFolder(ctx context.Context, folder *Folder, asker *asker) (*Result, error) {
	install := s.install
	if s.Record && folder.Golden != "" {
		install = s.installAtOnce
	}
	host, err := install(ctx, folder)
	if err != nil {
		return nil, err
	}
	ours, err := s.ours(folder)
	if err != nil {
		return nil, err
	}
	mark := Key{"Cluster", "outbound|80||" + host}
	for deadline, known := time.Now().Add(knowLimit), false; ; time.Sleep(askInterval) {
		theirs, err := asker.everything(ctx)
		if err != nil {
			return nil, err
		}
		if theirs[mark] != nil && !known {
			known, deadline = true, time.Now().Add(agreeLimit)
		}
		late := time.Now().After(deadline)
		if !known {
			if late {
				return nil, fmt.Errorf("istiod does not know the objects after %s", knowLimit)
			}
			continue
		}
		normalise(theirs)
		differences := compare(theirs, ours)
		if len(differences) > 0 && !late {
			continue
		}
		s.Progress("%s: %d resources of istiod, %d of the folder, %d differences", folder.Name, len(theirs), len(ours), len(differences))
		if s.Record && folder.Golden != "" {
			if err := record(folder.Golden, theirs); err != nil {
				return nil, err
			}
		}
		return &Result{Folder: folder, Compared: len(theirs), Differences: differences}, nil
	}
}

// ours is what the gateway makes of the folder's objects, of the age that they have in the cluster.
func (s *Suite) ours(folder *Folder) (Resources, error) {
	path := filepath.Join(s.Cluster.RunDir(), "folders", folder.Name)
	if err := write(path, folder.Objects); err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	command := exec.Command(s.Selvedge, "validate", "--dump", "--labels", "istio="+folder.Gateway,
		"--locality", kubelet.Locality, path)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", command, err, firstError(stderr.String()))
	}
	return parseDump(stdout.Bytes())
}

// firstError is the first line of a refusal that is not a mere warning.
func firstError(said string) string {
	for line := range strings.Lines(said) {
		if !strings.Contains(line, ": warning: ") {
			return strings.TrimSpace(line)
		}
	}
	return "no word of explanation"
}

func record(file string, resources Resources) error {
	text, err := resources.golden()
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
