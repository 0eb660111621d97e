package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
)

// meterName is the scope of this package's metrics.
const meterName = "github.com/quashdev/quash/service/server"

const attrEndpoint = attribute.Key("quash.endpoint")

// observer writes the result of each call to the log, the metrics and the span.
type observer struct {
	logger      *slog.Logger
	revocations metric.Int64Counter
	// labels caches the attribute sets: building one costs more than counting.
	labels map[callLabels][]metric.AddOption
	calls  *tracing
}

// callLabels are the labels of a call's result and its endpoint.
type callLabels struct {
	service.Labels

	endpoint string
}

func (l callLabels) attributes() []attribute.KeyValue {
	return append(l.Attributes(), attrEndpoint.String(l.endpoint))
}

func (l callLabels) options() []metric.AddOption {
	return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(l.attributes()...))}
}

func newObserver(ctx context.Context, t *telemetry.Telemetry, logger *slog.Logger) (*observer, error) {
	revocations, err := t.Meters.Meter(meterName).Int64Counter("quash.revocations",
		metric.WithUnit("{call}"),
		metric.WithDescription("Revoke calls, by the result that the caller received: an outcome, or the reason and state of an error."))
	if err != nil {
		return nil, fmt.Errorf("declare the metrics: %w", err)
	}
	calls, err := newTracing(t)
	if err != nil {
		return nil, err
	}
	o := &observer{logger, revocations, map[callLabels][]metric.AddOption{}, calls}
	for _, labels := range service.AllLabels() {
		for _, endpoint := range []string{endpointGRPC, endpointNative, endpointDropIn} {
			l := callLabels{labels, endpoint}
			o.labels[l] = l.options()
			revocations.Add(ctx, 0, o.labels[l]...)
		}
	}
	return o, nil
}

// intercept observes calls that reach the interceptors.
func (o *observer) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if info.FullMethod != quashv1.TokenService_Revoke_FullMethodName {
		resp, err := handler(ctx, req)
		if own, ok := errors.AsType[*service.Error](err); ok {
			o.log(ctx, own.LogLevel(), "call rejected", own.Attrs)
		}
		return resp, err
	}
	ctx, summary := service.WithSummary(ctx)
	resp, err := handler(ctx, req)
	if err != nil {
		o.failed(ctx, errorOf(err))
		return nil, err
	}
	o.succeeded(ctx, resp.(*quashv1.RevokeResponse), *summary) //nolint:forcetypeassert // the RPC's response type
	return resp, nil
}

// errorOf returns err as a *service.Error. Every error of the chain is one; any other would
// be a defect.
func errorOf(err error) *service.Error {
	if own, ok := errors.AsType[*service.Error](err); ok {
		return own
	}
	return service.Internal(err)
}

func (o *observer) succeeded(ctx context.Context, resp *quashv1.RevokeResponse, summary service.Summary) {
	o.count(ctx, service.SuccessLabels(resp, summary.Consistency))
	o.log(ctx, slog.LevelDebug, "revocation succeeded", func() []slog.Attr {
		return append([]slog.Attr{slog.String("outcome", service.OutcomeName(resp.GetOutcome()))}, summary.Attrs()...)
	})
}

// failed logs and counts a call that failed, whether or not it reached the service.
func (o *observer) failed(ctx context.Context, err *service.Error) {
	o.count(ctx, err.Labels())
	o.log(ctx, err.LogLevel(), "revocation failed", err.Attrs)
}

// log writes a line about a call: attributes of the caller, then attrs.
func (o *observer) log(ctx context.Context, level slog.Level, message string, attrs func() []slog.Attr) {
	if o.logger.Enabled(ctx, level) {
		o.logger.LogAttrs(ctx, level, message, append(callerAttrs(ctx), attrs()...)...)
	}
}

func (o *observer) count(ctx context.Context, labels service.Labels) {
	l := callLabels{labels, endpointOf(ctx)}
	options, ok := o.labels[l]
	if !ok { // not in service.AllLabels
		options = l.options()
	}
	o.revocations.Add(ctx, 1, options...)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(l.attributes()...)
	}
}

// callerAttrs returns the endpoint, the peer address and the client certificate's names.
func callerAttrs(ctx context.Context) []slog.Attr {
	attrs := []slog.Attr{slog.String("endpoint", endpointOf(ctx))}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		attrs = append(attrs, slog.String("peer", p.Addr.String()))
	}
	if cert := callerCertificate(ctx); cert != nil {
		attrs = append(attrs, slog.String("caller", abridged(identitiesOf(cert))))
	}
	return attrs
}

// The names of the endpoints.
const (
	endpointGRPC   = "grpc"
	endpointNative = "native"
	endpointDropIn = "drop_in"
)

func endpointOf(ctx context.Context) string {
	if call := restCallOf(ctx); call != nil {
		return call.endpoint
	}
	return endpointGRPC
}

// overGRPC is the stats handler of the gRPC server. It adds to tracing the calls that fail
// before the interceptors, because their message is too large, invalid or missing. It is one
// handler with tracing, because each further handler costs time on every event of a call.
type overGRPC struct {
	*tracing

	observer *observer
}

// HandleRPC implements stats.Handler.
func (g overGRPC) HandleRPC(ctx context.Context, event stats.RPCStats) {
	g.tracing.HandleRPC(ctx, event)
	end, ok := event.(*stats.End)
	if !ok {
		return
	}
	call, ok := ctx.Value(pendingKey{}).(*pendingCall)
	if !ok || call.read.Load() || call.method != quashv1.TokenService_Revoke_FullMethodName {
		return
	}
	err := errorUnread(status.Code(end.Error))
	err.TookSince(end.BeginTime)
	g.observer.failed(ctx, err)
}

// errorUnread returns the error to log and count for a call whose message was not read. The
// caller has received only a status code, from grpc-go.
func errorUnread(code codes.Code) *service.Error {
	if code == codes.Canceled || code == codes.DeadlineExceeded {
		return service.CallerCancelled()
	}
	return service.InvalidRequest(service.Violation{Field: bodyField, Description: "could not be read"})
}
