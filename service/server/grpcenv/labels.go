package grpcenv

import "os"

const labels = "GRPC_GO_SERVER_GOROUTINE_LABELS"

// Where this is set, profiles show the methods that were called, as clients wrote them:
// a token among them, if that is where a client put it.
func init() { //nolint:gochecknoinits // later is too late
	_ = os.Unsetenv(labels)
}
