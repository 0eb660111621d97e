// Package queue has grpc-go stop reading sooner from a client that does not read.
// It is imported for that alone.
//
// What a client makes grpc-go send waits in a queue of the connection. Beyond
// 10,000 frames there grpc-go reads no more from it; but a SETTINGS frame that waits
// to be acknowledged takes up to 43 KB, so that one connection can make it hold 430
// MB. Until a few releases ago it was 50 frames.
//
// grpc-go takes another number from the environment alone, as it is when its own
// packages are initialized. This one is before them: Go initializes packages in the
// order of their paths, once what they import is, and this one imports next to
// nothing.
package queue

import "os"

const variable = "GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT"

func init() { //nolint:gochecknoinits // later is too late
	if _, set := os.LookupEnv(variable); !set {
		_ = os.Setenv(variable, "100") // it cannot fail for these
	}
}
