package grpcenv

import "os"

const throttle = "GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT"

// What a client makes grpc-go send waits in a queue of the connection. Beyond
// 10,000 frames there grpc-go reads no more from it; but a SETTINGS frame that waits
// to be acknowledged takes up to 43 KB, so that one connection can make it hold 430
// MB. Until a few releases ago it was 50 frames. Here it stops reading sooner.
func init() { //nolint:gochecknoinits // later is too late
	if _, set := os.LookupEnv(throttle); !set {
		_ = os.Setenv(throttle, "100") // it cannot fail for these
	}
}
