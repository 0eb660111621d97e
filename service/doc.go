// Package service is quash's TokenService: what a revocation means, and what its caller
// learns of it.
//
//	service.go     New, the RPC from request to answer, Drain and Wait
//	request.go     the request: fields and headers together, checked by the proto's rules
//	deadline.go    the timeouts that are sent to SlashID
//	revocation.go  one revocation: its attempts, and the caller that waits or leaves
//	resilience.go  the number of attempts, the back-off, the circuit breaker
//	inflight.go    the limits on revocations in progress and on retries
//	outcomes.go    the outcome table: how calls end, and what callers learn then
//	errors.go      Error, the one error that leaves this package
//	metrics.go     metrics, and the labels of metrics and spans
//	log.go         what the log says of a call, a late outcome and a panic
//
// It knows gRPC and nothing of HTTP; package slashid, below it, knows HTTP and nothing of
// gRPC.
package service
