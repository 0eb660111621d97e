// Package e2e tests the built binary from outside, as a process.
//
//	process_test.go       builds quash, runs it, asks it over its three transports
//	http2_test.go         an end of an HTTP/2 connection that sends any frame
//	leak_test.go          no secret appears anywhere: the cases
//	leak_scan_test.go     where the scan looks, and that it finds planted leaks
//	leak_echo_test.go     an upstream that repeats every secret it is sent
//	leak_input_test.go    requests with a token where it does not belong
//	attack_test.go        hostile clients: bounded memory, honest callers are served; the cases
//	attack_kinds_test.go  the attacks
//	restart_test.go       a rolling restart behind load balancers loses no call
//	browser_test.go       /docs and CORS in Chromium
//	telemetry_test.go     traces and metrics over OTLP
//	tools_test.go         OpenAPI tools and the examples, with Node
//	faults/               the connection to SlashID broken in every way, before a quash in the test process
//
// Tests that need a program which is not installed are skipped, and say so.
package e2e
