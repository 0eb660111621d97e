package server

import (
	"context"
	"time"

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
// text of errors, since grpc-go quotes headers in its own and spans repeat it; and with
// the time of their beginning, which the in-process channel leaves out.
type amended struct{ stats.Handler }

type begunKey struct{}

func (a amended) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return a.Handler.TagRPC(context.WithValue(ctx, begunKey{}, time.Now()), info)
}

func (a amended) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if end, ok := event.(*stats.End); ok {
		event = amend(ctx, *end)
	}
	a.Handler.HandleRPC(ctx, event)
}

func amend(ctx context.Context, end stats.End) *stats.End {
	if end.BeginTime.IsZero() {
		end.BeginTime, _ = ctx.Value(begunKey{}).(time.Time)
	}
	if end.Error != nil {
		end.Error = status.Error(status.Code(end.Error), "")
	}
	return &end
}
