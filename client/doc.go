// Package client is quash for Go programs: the generated stub on a connection with the
// defaults that revocations want, and errors that say whether the token is dead.
//
//	c, err := client.New("dns:///quash.example.org:9090")
//	…
//	resp, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: token})
//
// By default a client
//   - speaks TLS with an authority that the system trusts;
//   - spreads calls over all addresses of the target, and leaves out instances that say
//     that they are not serving, which takes a stream of health on each connection;
//   - waits for a connection as long as the call has time, instead of failing at once;
//   - gives a call without a deadline the timeout of its request, and 5 s for the answer;
//   - asks up to three times where quash cannot be reached or answers UNAVAILABLE, after
//     the delay that quash asks for, within the call's deadline. Once an attempt may have
//     been applied, those that follow take a token that is invalid for success, and the
//     answer is OUTCOME_ALREADY_INVALID;
//   - traces and measures calls with OpenTelemetry's global providers.
//
// Where each part lives:
//
//	client.go    New, and the connection
//	options.go   what can be changed
//	tls.go       certificates that are read again
//	revoke.go    a call: its deadline, its attempts, its answer
//	throttle.go  the share of repetitions
//	sent.go      whether an attempt was sent
//	failure.go   what an error says
package client
