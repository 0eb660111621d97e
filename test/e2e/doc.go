// Package e2e tests the built binary as a process.
//
//	process_test.go       builds and runs quash, and the clients of its three transports
//	http2_test.go         an HTTP/2 endpoint that can send any frame
//	leak_test.go          the leak scan: no secret appears anywhere
//	leak_scan_test.go     where the leak scan looks, and tests that it finds planted leaks
//	leak_echo_test.go     an echo server as upstream, which repeats the secrets it receives
//	leak_input_test.go    requests with a token in the wrong place
//	attack_test.go        hostile clients: memory stays bounded and honest callers are served
//	attacks_test.go       how the hostile clients attack
//	restart_test.go       a rolling restart behind load balancers loses no call
//	browser_test.go       /docs and CORS in Chromium
//	telemetry_test.go     traces and metrics over OTLP
//	compression_test.go   gzip over gRPC
//	tools_test.go         OpenAPI tools and the examples, with Node and Python
//	faults/               faults of the connection to SlashID, with quash in the test process
//
// Tests that need a program that is not installed are skipped with a message.
package e2e
