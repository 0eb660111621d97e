// Package sandbox emulates SlashID's token endpoints: real signed tokens,
// several regions, and replication that lags, can be cut off, and goes on after
// a 408. Embed it in a program as an [http.Handler], or call [Start] in a test.
//
// Where each part lives:
//
//	config, sandbox, routes    settings, the handler and its life, its endpoints
//	server, revoked            for tests: one line to listen, questions, waiting
//	token, uuid                minting and recognising ES256 JWTs
//	ledger                     what is revoked where, and how it gets there
//	fault                      scripted answers to POST /token/revoke
//	revoke, consistency, auth  POST /token/revoke, its two headers, its credentials
//	validate, mint, jwks       the other SlashID endpoints
//	control_*                  the endpoints under /_sandbox/, for people and tests
//	answer, body               the error envelope; reading JSON
//
// A Sandbox keeps no state outside itself: keys, revocations and faults end with
// it, and the tokens of one Sandbox are foreign to every other.
package sandbox
