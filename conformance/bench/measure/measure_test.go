package measure

import "testing"

func TestSelect(t *testing.T) {
	for name, want := range map[string][]string{
		"h1-1k-64":       {"h1-1k-64@one", "h1-1k-64@two", "h1-1k-64@workers"},
		"round-trip@two": {"round-trip@two"},
	} {
		selected, err := Select([]string{name})
		if err != nil || len(selected) != len(want) {
			t.Fatalf("%s: %v, %v", name, selected, err)
		}
		for i, work := range selected {
			if got := work.Name + "@" + work.Layout.Name; got != want[i] {
				t.Errorf("%s: got %s", name, got)
			}
		}
	}
	if _, err := Select([]string{"h1-1k-64", "h9"}); err == nil {
		t.Error("a row that does not exist passes")
	}
}

func TestMedianLeavesOutDisturbedRuns(t *testing.T) {
	result := PeerResult{Samples: []Sample{{Cost: 10}, {Cost: 90, Foreign: 0.5}, {Cost: 12}}}
	if median, least, most := result.Cost(); median != 11 || least != 10 || most != 90 {
		t.Errorf("got %v, %v, %v", median, least, most)
	}
	result.Samples = result.Samples[1:]
	if median, _, _ := result.Cost(); median != 51 {
		t.Errorf("with a single clean run: got %v", median)
	}
}
