// Command echo runs the backend of the differential tests (package echo).
package main

import (
	"flag"
	"log"
	"os"

	"selvedge.dev/conformance/echo"
)

func main() {
	name := flag.String("name", "echo", "what the backend calls itself")
	flag.Parse()
	server := &echo.Server{
		Name:              *name,
		Collector:         os.Getenv("ECHO_COLLECTOR"),
		Certificates:      "/etc/echo/tls",
		IstioCertificates: "/etc/echo/istio",
	}
	log.Fatal(server.Run())
}
