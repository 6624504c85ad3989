package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client of a lab that another process has built.
type Client struct {
	lab  string
	http http.Client
}

// NewClient is for the lab of a name.
func NewClient(lab string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socketOf(lab))
	}
	return &Client{lab, http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Call sends a request and gives the answer, which is JSON.
func (c *Client) Call(method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, "http://lab"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("lab %s is not up: %w", c.lab, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("lab %s: %s", c.lab, strings.TrimSpace(string(answer)))
	}
	return answer, err
}

// State of the lab.
func (c *Client) State() (*State, error) {
	answer, err := c.Call(http.MethodGet, "/state", nil)
	if err != nil {
		return nil, err
	}
	state := &State{}
	return state, json.Unmarshal(answer, state)
}
