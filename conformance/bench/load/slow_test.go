package load

import (
	"strings"
	"testing"
	"time"
)

func TestSlowReaders(t *testing.T) {
	for answer, want := range map[string]string{
		"":                             "received nothing",
		strings.Repeat("x", 1000*1000): "",
	} {
		port := serve(t, answer, 0)
		slow, err := OpenSlow(2, 100, time.Millisecond, Target{Port: port, Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		err = slow.Check()
		for end := time.Now().Add(20 * time.Second); want == "" && err != nil && time.Now().Before(end); err = slow.Check() {
			time.Sleep(time.Millisecond)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("an answer of %d bytes: %v", len(answer), err)
		}
		slow.Close()
		if err := slow.Check(); want == "" && err != nil {
			t.Errorf("after the end: %v", err)
		}
	}
}
