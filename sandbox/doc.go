// Package sandbox emulates SlashID's token endpoints: signed tokens, several regions, and
// replication that lags, can be partitioned, and continues after a 408. Embed it in a
// program as an [http.Handler], or call [Start] in a test.
//
// Where each part lives:
//
//	config.go   settings and their defaults
//	sandbox.go  New, Close
//	server.go   Start, which listens until a test ends
//	revoked.go  for tests: query whether a token is revoked, and wait until it is
//	token.go    minting and verifying ES256 JWTs
//	ledger.go   which region has applied which revocation, and replication
//	fault.go    scripted answers to POST /token/revoke
//	http.go     the routes, bodies, the error envelope
//	revoke.go   POST /token/revoke and its headers
//	slashid.go  credentials, and the other SlashID endpoints
//	control.go  the control endpoints under /_sandbox/
//
// A Sandbox keeps all its state in memory: keys, revocations and faults end with it. A
// token of one Sandbox is invalid in every other.
package sandbox
