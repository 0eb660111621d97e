// Package sandbox emulates SlashID's token endpoints: real signed tokens,
// several regions, and replication that lags, can be cut off, and goes on after
// a 408. Embed it in a program as an [http.Handler], or call [Start] in a test.
//
// Where each part lives:
//
//	config.go   settings and their defaults
//	sandbox.go  New, Close
//	server.go   Start, which listens for the time of a test
//	revoked.go  for tests: is a token revoked, and waiting until it is
//	token.go    minting and recognising ES256 JWTs
//	ledger.go   what is revoked where, and how it gets there
//	fault.go    scripted answers to POST /token/revoke
//	http.go     the routes, bodies, the error envelope
//	revoke.go   POST /token/revoke and its headers
//	slashid.go  credentials, and the other SlashID endpoints
//	control.go  the endpoints under /_sandbox/, for people and tests
//
// A Sandbox keeps no state outside itself: keys, revocations and faults end with
// it, and the tokens of one Sandbox are foreign to every other.
package sandbox
