// Package service is quash's TokenService: what a revocation means, whoever asks
// for it.
//
//	service.go   New, and the RPC from request to answer
//	request.go   fields and headers made one request, checked by the proto's rules
//	credentials.go  quash's own key, or the caller's credentials
//	deadline.go  the caller's time, and how it is spent
//	outcomes.go  the outcome table: what each end of a call is told as
//	errors.go    Error, the one error that leaves this package
//
// It knows gRPC and nothing of HTTP; package slashid, below it, has it the other
// way round.
package service
