package entrances

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

// serveWord answers every request with a word.
func serveWord(port int, word string) error {
	return serve(port, false, func(*http.Request) string { return word })
}

// serveHTTP2 speaks clear HTTP/2 alone, and says so.
func serveHTTP2(port int, word string) error {
	return serve(port, true, func(request *http.Request) string { return word + " " + request.Proto })
}

func serve(port int, isHTTP2 bool, answer func(*http.Request) string) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!isHTTP2)
	protocols.SetUnencryptedHTTP2(isHTTP2)
	server := &http.Server{
		Protocols: protocols,
		Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			_, _ = io.WriteString(writer, answer(request))
		}),
	}
	go func() { _ = server.Serve(listener) }()
	return nil
}

// serveEcho repeats what it hears, and says that it has heard the end.
func serveEcho(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				if _, err := io.Copy(connection, connection); err == nil {
					_, _ = io.WriteString(connection, "end")
				}
			}()
		}
	}()
	return nil
}
