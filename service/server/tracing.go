package server

import (
	"context"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/telemetry"
)

// tracing makes a span and the semantic conventions' metrics of each call. Only of
// Revoke: what health is asked is noise, and other names are whatever a client sends.
func tracing(t *telemetry.Telemetry) stats.Handler {
	return amended{otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(t.Tracers),
		otelgrpc.WithMeterProvider(t.Meters),
		otelgrpc.WithPropagators(t.Propagator),
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool {
			return info.FullMethodName == quashv1.TokenService_Revoke_FullMethodName
		}),
	)}
}

// amended is a handler that is told of the ends of calls in another way: without the
// text of errors, since grpc-go quotes headers in its own and spans repeat it.
type amended struct{ stats.Handler }

func (a amended) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if end, ok := event.(*stats.End); ok && end.Error != nil {
		wordless := *end
		wordless.Error = status.Error(status.Code(end.Error), "")
		event = &wordless
	}
	a.Handler.HandleRPC(ctx, event)
}
