package corpus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

func (j *Judged) judged() *Judged { return j }

// check finds what would make a case say nothing.
func (j *Judged) check() error {
	if j.Name == "" || j.Rule == "" {
		return errors.New("a case has a name and a rule")
	}
	if !slices.Contains([]Expectation{Refused, Forwarded, Either}, j.Expect) {
		return fmt.Errorf("expect %q", j.Expect)
	}
	if !slices.Contains([]Expectation{"", Refused, Forwarded, Either}, j.Envoy) || j.Envoy == j.Expect {
		return fmt.Errorf("envoy %q", j.Envoy)
	}
	if !slices.Contains([]After{"", Closed, Answered, Any}, j.After) {
		return fmt.Errorf("after %q", j.After)
	}
	if j.Expect == Forwarded && j.ExpectEnvoy() == Refused {
		return errors.New("nothing that Envoy refuses may be forwarded")
	}
	return nil
}

func (r *Request) check() error {
	if (len(r.Head) == 0) == (r.Send == "") {
		return errors.New("a case has either a head or bytes to send")
	}
	return nil
}

func (r *Response) check() error {
	if r.Expect == Forwarded && r.Status == 0 {
		return errors.New("a forwarded answer has a status")
	}
	return nil
}

func (h *HTTP2) check() error {
	for _, field := range h.Set {
		if !strings.HasPrefix(field[0], ":") {
			return fmt.Errorf("%q is no pseudo-header field of every request", field[0])
		}
	}
	return nil
}

func (h *HTTP2Response) check() error {
	return (&Response{Judged: h.Judged, Status: h.Status}).check()
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
