// Package server makes running servers of the service: gRPC, REST and admin.
//
//	server.go         New binds everything, Run serves until told to stop
//	listen.go         TCP listeners
//	connections.go    how many connections they accept
//	tls.go            a listener's certificate, and which clients it accepts
//	allowedcallers.go which of those may call
//	limits.go         how much a client can make the server hold, and how long
//	pending.go        requests that have begun and are not read yet
//	drain.go          connections that are closed during shutdown, or when they are old
//	interceptors.go   the one chain that every call runs through
//	observe.go        the log line and the metrics of each call
//	tracing.go        its span
//	metrics.go        what is measured of the listeners
//	grpc.go           the gRPC server: TokenService, health, reflection
//	rest.go           the REST listener: what both endpoints have in common
//	inprocess.go      how those call the service
//	native.go         POST /v1/tokens:revoke, grpc-gateway's usual form
//	dropin.go         POST /token/revoke, SlashID's own contract
//	decode.go         JSON bodies, and what is wrong with them
//	openapi.go        /openapi.json, which describes both
//	docs.go           /docs, the page to read that and to try it; explorer/ has its files
//	cors.go           pages of which other origins may call
//	errorlog.go       which errors of net/http and TLS are logged
//	admin.go          the pages for operators: liveness, readiness, build info, profiles
//	configz.go        how the server runs
//	loglevel.go       what it logs
//
// REST is grpc-gateway in front of the same service behind the same interceptors, so
// that every rule holds for all endpoints.
package server
