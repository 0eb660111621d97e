// Package slashid is the client of SlashID's "revoke a user token" endpoint.
//
// It knows HTTP and SlashID, and nothing of gRPC or of quash's API: one method,
// [Client.Begin], sends one request, and a typed [Result] says what became of it.
// Nothing is retried here.
//
//	client.go         Config, New, Begin
//	request.go        what is sent
//	exchange.go       one request and its answer: "never sent" or "sent, no answer"
//	attempt.go        an exchange, for whoever waits for it
//	result.go         Kind and Result: what an attempt can come to
//	pool.go           which connection an exchange is given, and when one is made
//	dial.go           making them: DNS, proxies, TLS
//	http1.go          a connection of HTTP/1.1; silent.go: whether it can be used again
//	http1head.go      reading most of its answers at a glance
//	http2.go          a connection of HTTP/2; http2write.go, http2read.go: its two halves
//	baseurl.go        where SlashID is
//	envelope.go       telling SlashID's error envelope from a proxy's page
//	correlationid.go  SlashID's id for a request, if it tells nothing of it
//	screen.go         whether it may, at a glance
//	retryafter.go     the Retry-After header
//	cause.go          what of a failure may be shown
//	observe.go        spans and durations
//	telemetry.go      where they go; connections counted
//	secret.go         tokens and keys that cannot be printed
package slashid
