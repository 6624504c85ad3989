package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Difference is one field that the two sides disagree about.
type Difference struct {
	Key Key
	// Path leads to the field: "filter_chains[0].filters[1].name"; empty for the whole resource.
	Path string
	// Istiod and Folder are the values as JSON; empty if that side has none.
	Istiod, Folder string
}

// compare lists where the folder's resources differ from istiod's, in the order of their names.
func compare(istiod, folder Resources) []Difference {
	all := maps.Clone(istiod)
	maps.Copy(all, folder)
	var differences []Difference
	for _, key := range sortedKeys(all) {
		theirs, sent := istiod[key]
		ours, made := folder[key]
		switch {
		case !made:
			differences = append(differences, Difference{Key: key, Istiod: text(theirs)})
		case !sent:
			differences = append(differences, Difference{Key: key, Folder: text(ours)})
		default:
			differences = append(differences, compareValues(key, "", theirs, ours)...)
		}
	}
	return differences
}

// compareValues goes down as far as both sides have the same shape. A list of another length is one
// difference: what follows would only be the shift.
func compareValues(key Key, path string, istiod, folder any) []Difference {
	if reflect.DeepEqual(istiod, folder) {
		return nil
	}
	var differences []Difference
	switch theirs := istiod.(type) {
	case map[string]any:
		ours, same := folder.(map[string]any)
		if !same {
			break
		}
		fields := maps.Clone(theirs)
		maps.Copy(fields, ours)
		for _, name := range sortedNames(fields) {
			step := strings.TrimPrefix(path+"."+name, ".")
			one, sent := theirs[name]
			other, made := ours[name]
			if sent && made {
				differences = append(differences, compareValues(key, step, one, other)...)
				continue
			}
			difference := Difference{Key: key, Path: step}
			if sent {
				difference.Istiod = text(one)
			} else {
				difference.Folder = text(other)
			}
			differences = append(differences, difference)
		}
		return differences
	case []any:
		ours, same := folder.([]any)
		if !same || len(ours) != len(theirs) {
			break
		}
		for i := range theirs {
			differences = append(differences, compareValues(key, fmt.Sprintf("%s[%d]", path, i), theirs[i], ours[i])...)
		}
		return differences
	}
	return []Difference{{Key: key, Path: path, Istiod: text(istiod), Folder: text(folder)}}
}

func text(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func sortedKeys(resources Resources) []Key {
	return slices.SortedFunc(maps.Keys(resources), func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
}

func sortedNames[V any](values map[string]V) []string { return slices.Sorted(maps.Keys(values)) }
