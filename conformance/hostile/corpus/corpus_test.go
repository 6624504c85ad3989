package corpus

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCorpusIsSound(t *testing.T) {
	requests, err := Requests()
	require.NoError(t, err)
	responses, err := Responses()
	require.NoError(t, err)
	http2, err := HTTP2Requests()
	require.NoError(t, err)
	require.Greater(t, len(requests), 150)
	require.NotEmpty(t, responses)
	require.NotEmpty(t, http2)
	http2Responses, err := HTTP2Responses()
	require.NoError(t, err)
	require.NotEmpty(t, http2Responses)
}

func TestBytes(t *testing.T) {
	require.Equal(t, "a\xff\x00\r\n", Bytes("a\u00ff\x00\r\n"))
	require.Equal(t, "xaaay", Bytes("x<3*a>y"))
	require.Equal(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", (&Request{Head: []string{"GET / HTTP/1.1", "Host: a"}, Body: "body"}).Bytes())
}

func TestFieldsOfHTTP2(t *testing.T) {
	c := &HTTP2{Set: []Field{{":path", "/other"}}, Remove: []string{":scheme"}, Before: []Field{{"a", "b"}}, Add: []Field{{"c", "d"}}}
	var names []string
	for _, field := range c.Fields() {
		names = append(names, field[0]+"="+field[1])
	}
	require.Equal(t, "a=b :method=GET :authority=hostile.test :path=/other c=d", strings.Join(names, " "))
}

// A case that says nothing, or what may not be, is an error.
func TestUnsoundCases(t *testing.T) {
	for _, judged := range []Judged{
		{Rule: "r", Expect: Refused},
		{Name: "n", Expect: Refused},
		{Name: "n", Rule: "r"},
		{Name: "n", Rule: "r", Expect: Refused, Envoy: Refused},
		{Name: "n", Rule: "r", Expect: Forwarded, Envoy: Refused},
	} {
		require.Error(t, judged.check(), "%+v", judged)
	}
	require.Error(t, (&Request{}).check())
	require.Error(t, (&Response{Judged: Judged{Expect: Forwarded}}).check())
	require.Error(t, (&HTTP2{Set: []Field{{"x", "y"}}}).check())
}
