// Package service is quash's TokenService: what a revocation means, and what its caller is
// told.
//
//	service.go      New, the RPC from request to answer, Drain and Wait
//	request.go      the request: fields and headers together, checked by the proto's rules
//	plainlyvalid.go a fast check for requests that break no rule
//	credentials.go  quash's own key, or the caller's credentials
//	deadline.go     the timeouts that are sent to SlashID
//	revocation.go   one revocation: its attempts, and the caller that waits or leaves
//	resilience.go   the number of attempts, the back-off, the circuit breaker
//	inflight.go     the limits on revocations in progress and on retries
//	outcomes.go     the outcome table: how calls end, and what callers are told then
//	labels.go       the outcomes as labels of metrics and spans
//	metrics.go      metrics of the work with SlashID
//	summary.go      what the log is told of a call
//	errors.go       Error, the one error that leaves this package
//	panics.go       what the log is told of a panic
//
// It knows gRPC and nothing of HTTP; package slashid, below it, knows HTTP and nothing of
// gRPC.
package service
