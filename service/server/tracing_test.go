package server

import (
	"maps"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
)

// A call is measured by its code; a code that is the server's failure is told as an error
// too. Calls of other methods are not measured.
func TestCallsAreMeasured(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method string
		code         codes.Code
		want         map[string]string
	}{
		{"answered", quashv1.TokenService_Revoke_FullMethodName, codes.OK, map[string]string{
			"rpc.system.name": "grpc", "rpc.method": "quash.v1.TokenService/Revoke", "rpc.response.status_code": "OK",
		}},
		{"the caller's failure", quashv1.TokenService_Revoke_FullMethodName, codes.InvalidArgument, map[string]string{
			"rpc.system.name": "grpc", "rpc.method": "quash.v1.TokenService/Revoke", "rpc.response.status_code": "INVALID_ARGUMENT",
		}},
		{"the server's", quashv1.TokenService_Revoke_FullMethodName, codes.DeadlineExceeded, map[string]string{
			"rpc.system.name": "grpc", "rpc.method": "quash.v1.TokenService/Revoke", "rpc.response.status_code": "DEADLINE_EXCEEDED",
			"error.type": "DEADLINE_EXCEEDED",
		}},
		{"of another method", "/grpc.health.v1.Health/Check", codes.OK, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			observed := telemetry.None()
			observed.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			calls, err := newTracing(observed)
			if err != nil {
				t.Fatal(err)
			}
			ctx := calls.TagRPC(t.Context(), &stats.RPCTagInfo{FullMethodName: tt.method})
			begun := time.Now()
			calls.HandleRPC(ctx, &stats.End{BeginTime: begun, EndTime: begun.Add(3 * time.Second), Error: status.Error(tt.code, "a text")})
			got, seconds := measured(t, reader)
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if tt.want != nil && seconds != 3 {
				t.Errorf("it took %v s", seconds)
			}
		})
	}
}

// measured is the only point of the only histogram, its attributes and its sum; nothing
// without any.
func measured(t *testing.T, reader *sdkmetric.ManualReader) (attrs map[string]string, sum float64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			point := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
			attrs = map[string]string{}
			for _, kv := range point.Attributes.ToSlice() {
				attrs[string(kv.Key)] = kv.Value.AsString()
			}
			sum = point.Sum
		}
	}
	return attrs, sum
}
