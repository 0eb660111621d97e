// Package server runs the servers in front of the service: gRPC, REST and admin.
//
//	server.go         New binds the listeners; Run serves and shuts down
//	listen.go         TCP listeners
//	usertimeout_*.go  TCP_USER_TIMEOUT, on Linux
//	connections.go    the limit on open connections
//	tls.go            server certificate, client CAs, TLS versions
//	allowedcallers.go authorization: the list of clients that may call
//	limits.go         sizes, counts and timeouts, with their defaults
//	pending.go        the limit on requests that are not read yet
//	drain.go          closing HTTP connections on shutdown and by age
//	interceptors.go   the interceptor chain: panics, streams, retry pushback
//	observe.go        log line and metrics for each call
//	tracing.go        span and duration for each call
//	metrics.go        metrics of listeners and pending requests
//	grpc.go           the gRPC server: TokenService, health, reflection
//	rest.go           the REST listener: everything that both REST endpoints share
//	inprocess.go      the client with which REST calls the service
//	native.go         POST /v1/tokens:revoke, quash's own REST form
//	dropin.go         POST /token/revoke, SlashID's REST contract
//	decode.go         decoding of JSON bodies, with errors that quote no value
//	openapi.go        /openapi.json, the description of both REST endpoints
//	docs.go           /docs, a page to read and try the API; its files are in explorer/
//	cors.go           CORS: web pages that may call from a browser
//	errorlog.go       log of net/http and TLS errors, without client data
//	admin.go          admin pages: liveness, readiness, version, profiles, metrics
//	configz.go        /configz, the running configuration
//	loglevel.go       /loglevel, to read and change the log level
//
// REST calls go through grpc-gateway to the same service behind the same interceptors as
// gRPC, so every rule holds at every endpoint.
package server
