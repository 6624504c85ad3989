package load

import "testing"

func TestParseWrk(t *testing.T) {
	result, err := ParseWrk(`Running 1s test @ http://127.0.0.1:8080/1k
  22727 requests in 1.08s, 1.39GB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:  21033.57
`)
	if err != nil || result.Units != 22727 || result.Seconds != 1.08 || result.Errors != 11 {
		t.Errorf("got %+v, %v", result, err)
	}
	if _, err := ParseWrk("unable to connect to 127.0.0.1:1 Connection refused"); err == nil {
		t.Error("a report without requests passes")
	}
}
