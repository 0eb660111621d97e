// Package client calls quash from Go. It wraps the generated stub with defaults for
// revocations, and its errors say whether the token is dead.
//
//	c, err := client.New("dns:///quash.example.org:9090")
//	…
//	resp, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: token})
//
// By default a client
//   - uses TLS, and trusts the system's authorities;
//   - balances calls over all addresses of the target, without instances whose health is
//     not SERVING (it keeps a health stream on each connection);
//   - waits for a connection until the call's deadline, instead of failing at once;
//   - sets a deadline for a call that has none: the timeout of the request and 5 s;
//   - makes up to three attempts if quash cannot be reached or answers UNAVAILABLE, after
//     the delay that quash asks for, within the call's deadline. If an attempt may have
//     been applied, the next ones set AllowInvalid, and the outcome can be
//     OUTCOME_ALREADY_INVALID;
//   - traces and measures calls with OpenTelemetry's global providers.
//
// The files:
//
//	client.go    New, and the connection
//	options.go   options of New
//	tls.go       TLS, with files that are reloaded
//	revoke.go    a call: its deadline, its attempts, its error
//	throttle.go  limits retries
//	sent.go      records whether an attempt was sent
//	failure.go   Failure, which reads an error
package client
