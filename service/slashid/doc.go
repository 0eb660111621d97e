// Package slashid is the client of SlashID's "revoke a user token" endpoint.
//
// It knows HTTP and SlashID, and nothing of gRPC or of quash's API: one method,
// [Client.Revoke], sends one request and says in a typed [Result] what became
// of it. Nothing is retried here.
//
//	client.go         Config, New, and the one request
//	result.go         Kind and Result: what an attempt can come to
//	envelope.go       telling SlashID's error envelope from a proxy's page
//	correlationid.go  SlashID's id for a request, if it tells nothing of it
//	retryafter.go     the Retry-After header
//	cause.go          what of a failure may be shown
//	sent.go           the token on its way out: "never sent" or "sent, no answer"
//	telemetry.go      spans, metrics, connections counted
//	secret.go         tokens and keys that cannot be printed
//
// net/http writes to the standard logger what a peer sends unasked, which may
// repeat a token. Programs that embed this package should not let that be read.
package slashid
