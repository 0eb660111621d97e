package server

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A client that may not watch health is to do without, and to take no other end of its
// watch for that.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	for _, test := range []struct {
		method string
		code   codes.Code
		want   codes.Code
	}{
		{method: healthv1.Health_Watch_FullMethodName, code: codes.PermissionDenied, want: codes.Unimplemented},
		{method: healthv1.Health_Watch_FullMethodName, code: codes.ResourceExhausted, want: codes.Unimplemented},
		{method: healthv1.Health_Watch_FullMethodName, code: codes.Canceled, want: codes.Canceled},
		{method: healthv1.Health_Watch_FullMethodName, code: codes.OK, want: codes.OK},
		{method: reflection, code: codes.PermissionDenied, want: codes.PermissionDenied},
		{method: reflection, code: codes.ResourceExhausted, want: codes.ResourceExhausted},
	} {
		err := unwatched(nil, nil, &grpc.StreamServerInfo{FullMethod: test.method}, func(any, grpc.ServerStream) error {
			return status.Error(test.code, "as it was")
		})
		if got := status.Code(err); got != test.want || err != nil && status.Convert(err).Message() != "as it was" {
			t.Errorf("%s, %v: %v, want %v", test.method, test.code, err, test.want)
		}
	}
}
