// Package lambda is what the two functions share: their settings, the clients of
// AWS, HTTP events to the handler of internal/server and back, the event and the
// summary of a refresh, and their metrics. Each function's main wires it.
package lambda
