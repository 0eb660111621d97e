// Package grpcenv sets what grpc-go takes from the environment alone. It is imported for
// that, and for nothing else.
//
//	throttle.go  how much a client makes it queue
//	labels.go    what its goroutines are called in profiles
//
// grpc-go reads the environment when its own packages are initialized. This one is before
// them: Go initializes packages in the order of their paths, once what they import is, and
// this one imports next to nothing.
package grpcenv
