// Package gatewayapi says what of the Gateway API project's own conformance suite is run, and what a
// run comes to. The run itself is the Go test in the folder suite.
package gatewayapi
