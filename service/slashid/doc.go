// Package slashid is a client of SlashID's endpoint that revokes a user token.
//
// It uses HTTP, and neither gRPC nor quash's API. [Client.Revoke] sends one request and
// returns a [Result]. It does not retry; but net/http automatically resends a request that
// the peer declares unprocessed.
//
//	client.go         Config, New, Revoke, Result
//	request.go        the request: its headers, and a body that records whether it was sent
//	transport.go      the http.Transport, and when a new one replaces it
//	baseurl.go        parses SlashID's address
//	envelope.go       recognizes SlashID's error envelope
//	correlationid.go  reads SlashID's id for the request
//	retryafter.go     reads the Retry-After header
//	cause.go          removes from errors what must not be logged
//	observe.go        a span and a duration for each request
//	telemetry.go      telemetry providers; metrics of connections
//	secret.go         tokens and keys that cannot be printed
package slashid
