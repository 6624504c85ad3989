package local

import (
	"fmt"
	"io"
)

// longestValue is how much of a value is shown.
const longestValue = 400

// Write prints what differs, and says how many resources agree and how many do not.
func Write(w io.Writer, results []Result, skipped []Skipped) (passed, failed int) {
	for _, result := range results {
		wrong := map[Key]bool{}
		for _, difference := range result.Differences {
			if !wrong[difference.Key] {
				_, _ = fmt.Fprintf(w, "%s: %s\n", result.Folder.Name, difference.Key)
				wrong[difference.Key] = true
			}
			path := difference.Path
			if path == "" {
				path = "(the whole resource)"
			}
			_, _ = fmt.Fprintf(w, "    %s\n        istiod   %s\n        selvedge %s\n", path, shown(difference.Istiod), shown(difference.Folder))
		}
		failed += len(wrong)
		passed += max(0, result.Compared-len(wrong))
	}
	for _, one := range skipped {
		_, _ = fmt.Fprintf(w, "skipped: scenario %s: %s\n", one.Scenario, one.Reason)
	}
	return passed, failed
}

func shown(value string) string {
	switch {
	case value == "":
		return "(nothing)"
	case len(value) > longestValue:
		return value[:longestValue] + "..."
	}
	return value
}
