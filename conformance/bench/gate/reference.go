package gate

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
)

const (
	// growth is by how much instructions and system calls may exceed the reference.
	growth = 1.02
	// grain is what system calls may differ by because they are rounded.
	grain = 0.01
)

// Counts of one request.
type Counts struct {
	Instructions float64 `json:"instructions"`
	Allocations  float64 `json:"allocations"`
	SystemCalls  float64 `json:"systemCalls"`
}

// rounded keeps what repeats.
func (c Counts) rounded() Counts {
	return Counts{math.Round(c.Instructions), math.Round(c.Allocations*10) / 10, math.Round(c.SystemCalls*100) / 100}
}

// exceeds names each count that has grown.
func (c Counts) exceeds(reference Counts) []string {
	c = c.rounded()
	var grown []string
	check := func(what string, seen, known, most float64) {
		if seen > most {
			grown = append(grown, fmt.Sprintf("%s have grown from %g to %g", what, known, seen))
		}
	}
	check("instructions", c.Instructions, reference.Instructions, reference.Instructions*growth)
	check("allocations", c.Allocations, reference.Allocations, reference.Allocations)
	check("system calls", c.SystemCalls, reference.SystemCalls, reference.SystemCalls*growth+grain)
	return grown
}

// falls says that a count is so far below the reference that it could grow back unseen.
func (c Counts) falls(reference Counts) bool {
	c = c.rounded()
	return c.Instructions*growth < reference.Instructions || c.Allocations < reference.Allocations || c.SystemCalls*growth+grain < reference.SystemCalls
}

// readReference reads the counts that were committed, by the names of pairs.
func readReference(file string) (map[string]Counts, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	reference := map[string]Counts{}
	if err := json.Unmarshal(data, &reference); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return reference, nil
}

func writeReference(file string, counts map[string]Counts) error {
	rounded := map[string]Counts{}
	for name, c := range counts {
		rounded[name] = c.rounded()
	}
	data, err := json.MarshalIndent(rounded, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
