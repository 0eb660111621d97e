// Package service implements quash's TokenService: it revokes tokens at SlashID and reports
// the outcome to the caller.
//
//	service.go     New, the RPC from request to answer, Drain and Wait
//	request.go     the request: fields and headers, checked against the rules of the proto
//	deadline.go    the timeouts that are sent to SlashID
//	revocation.go  one revocation: its attempts, and the caller that waits for it
//	resilience.go  the number of attempts, the back-off, the circuit breaker
//	inflight.go    the limits on revocations in flight and on retries
//	outcomes.go    the outcome table: how a call can end, and what its caller receives
//	errors.go      Error, the only error type that Revoke returns
//	metrics.go     metrics, and the labels of metrics and spans
//	log.go         log attributes of a call, of background revocations and of panics
//
// This package uses gRPC and no HTTP. Package slashid, which it calls, uses HTTP and no
// gRPC.
package service
