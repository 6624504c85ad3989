package differential

import (
	"bytes"
	"strings"
	"testing"
)

func judge(exchanges ...*Exchange) *Verdict {
	runner := &Runner{pairs: map[string]pair{"edge": {}}}
	return runner.Judge([]*Scenario{{Name: "s"}}, exchanges, nil, nil)
}

func exchange(expect string, oracle, subject *Outcome) *Exchange {
	return &Exchange{Scenario: &Scenario{Name: "s"}, Request: &Request{Name: "r", Expect: expect, Gateway: "edge"}, Oracle: oracle, Subject: subject}
}

func TestEqualAnswersPass(t *testing.T) {
	verdict := judge(exchange("200 v1", answered(), answered()))
	if !verdict.Passed() || verdict.Unlisted() != 0 {
		t.Errorf("%+v", verdict)
	}
}

func TestEqualAnswersOfAnotherKindAreABrokenScenario(t *testing.T) {
	verdict := judge(exchange("404", answered(), answered()))
	if verdict.Passed() || len(verdict.Broken) != 1 {
		t.Errorf("%+v", verdict)
	}
}

func TestADifferenceFails(t *testing.T) {
	verdict := judge(exchange("200", answered("a: 1"), answered("a: 2")))
	if verdict.Passed() || verdict.Unlisted() != 1 {
		t.Errorf("%+v", verdict)
	}
	var table bytes.Buffer
	verdict.Write(&table, false)
	for _, text := range []string{"s: r", "header a", `envoy    "1"`, `selvedge "2"`} {
		if !strings.Contains(table.String(), text) {
			t.Errorf("the table lacks %q:\n%s", text, table.String())
		}
	}
}

func TestSharesAreJudgedWithTolerance(t *testing.T) {
	request := &Request{Shares: map[string]float64{"a": 75, "b*": 25}}
	cases := map[string]struct {
		counts map[string]int
		wrong  bool
	}{
		"by a prefix":   {map[string]int{"a": 75, "b": 12, "b c": 13}, false},
		"exact":         {map[string]int{"a": 75, "b": 25}, false},
		"near":          {map[string]int{"a": 90, "b": 10}, false},
		"far":           {map[string]int{"a": 50, "b": 50}, true},
		"all to one":    {map[string]int{"a": 100}, true},
		"a third thing": {map[string]int{"a": 75, "b": 24, "503": 1}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if text, wrong := shares(c.counts, request); wrong != c.wrong {
				t.Errorf("%s: wrong is %t", text, wrong)
			}
		})
	}
}
