package report

import "fmt"

// Failures names everything that went wrong.
func (r *Report) Failures() []string {
	var failures []string
	for _, row := range r.Rows {
		for _, p := range row.Peers {
			if count, first := p.Errors(); count > 0 {
				failures = append(failures, fmt.Sprintf("%s@%s through %s (%.0f: %s)", row.Name, row.Layout.Name, p.Peer.Name, count, brief(first)))
			}
		}
	}
	for _, result := range r.Memory {
		if result.Error != nil {
			failures = append(failures, fmt.Sprintf("memory of %s (%s)", result.Peer.Name, brief(result.Error.Error())))
		}
	}
	if r.Scale != nil {
		for _, subject := range r.Scale.Subjects {
			if subject.Error != nil {
				failures = append(failures, fmt.Sprintf("scale of %s (%s)", subject.Title, brief(subject.Error.Error())))
			}
		}
	}
	return failures
}
