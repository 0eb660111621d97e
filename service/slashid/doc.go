// Package slashid is the client of SlashID's "revoke a user token" endpoint.
//
// It knows HTTP and SlashID, and nothing of gRPC or of quash's API. One method,
// [Client.Revoke], sends one request and returns what is known of it in a [Result].
// Retries are the caller's business, with one exception: net/http sends a request again
// by itself when the peer declares it unprocessed.
//
//	client.go         Config, New, Revoke, Result
//	request.go        the request: headers, and a body that knows whether it was sent
//	transport.go      the http.Transport, and when it is replaced by a new one
//	baseurl.go        the address of SlashID
//	envelope.go       SlashID's error envelope, as opposed to a proxy's page
//	correlationid.go  SlashID's id for the request
//	retryafter.go     the Retry-After header
//	cause.go          the part of an error that may be logged
//	observe.go        spans and durations
//	telemetry.go      where they go; counts of connections
//	secret.go         tokens and keys that cannot be printed
package slashid
