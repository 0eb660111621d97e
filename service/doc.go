// Package service is quash's TokenService: what a revocation means, whoever asks
// for it.
//
//	service.go      New, the RPC from request to answer, Drain and Wait
//	request.go      fields and headers made one request, checked by the proto's rules
//	plainlyvalid.go the requests that surely break none of them
//	credentials.go  quash's own key, or the caller's credentials
//	deadline.go     the caller's time, and how it is spent
//	call.go         one revocation through its attempts, with or without its caller
//	resilience.go   how often and when to ask again, the circuit breaker
//	flights.go      what is in progress, and how much may be; the retry budget
//	background.go   revocations whose callers have gone
//	metrics.go      what is measured of the work with SlashID
//	summary.go      what the log is told of a call
//	endings.go      every way for a call to end, as metrics have it
//	outcomes.go     the outcome table: what each end of a call is told as
//	errors.go       Error, the one error that leaves this package
//	panics.go       what a panic may tell the log
//
// It knows gRPC and nothing of HTTP; package slashid, below it, has it the other
// way round.
package service
