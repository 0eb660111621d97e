package server

import (
	"context"
	"fmt"
	"net"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
	"go.opentelemetry.io/otel/trace"
	codepb "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
)

// tracing records a span and the semantic conventions' duration metric for each Revoke
// call. It skips health checks, which are noise, and unknown methods, whose names the client
// chooses. It records no error texts, because grpc-go's texts quote headers.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram
	// labels caches the attributes of the metric by code.
	labels map[codes.Code][]metric.RecordOption
}

// spanName is the name of a call's span, and the value of rpc.method.
var spanName = strings.TrimPrefix(quashv1.TokenService_Revoke_FullMethodName, "/")

func newTracing(t *telemetry.Telemetry) (*tracing, error) {
	duration, err := rpcconv.NewServerCallDuration(t.Meters.Meter(meterName))
	if err != nil {
		return nil, fmt.Errorf("declare the metrics: %w", err)
	}
	labels := map[codes.Code][]metric.RecordOption{}
	for number := range codepb.Code_name {
		code := codes.Code(number) //nolint:gosec // there are seventeen
		attrs := append(callAttributes(), codeAttribute(code))
		if isServers(code) {
			attrs = append(attrs, semconv.ErrorTypeKey.String(codeName(code)))
		}
		labels[code] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	}
	return &tracing{t.Tracers.Tracer(meterName), t.Propagator, duration.Inst(), labels}, nil
}

func callAttributes() []attribute.KeyValue {
	return []attribute.KeyValue{semconv.RPCSystemNameGRPC, semconv.RPCMethod(spanName)}
}

func codeAttribute(code codes.Code) attribute.KeyValue {
	return semconv.RPCResponseStatusCode(codeName(code))
}

func codeName(code codes.Code) string {
	return codepb.Code(code).String() //nolint:gosec // there are seventeen
}

// isServers reports whether a code is a server error in the semantic conventions.
func isServers(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// tracedKey is the context key that marks a traced call.
type tracedKey struct{}

// asServer is shared by all calls, to save an allocation.
var asServer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}

// TagRPC implements stats.Handler: it starts the span.
func (t *tracing) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName != quashv1.TokenService_Revoke_FullMethodName {
		return ctx
	}
	ctx, span := t.tracer.Start(t.propagator.Extract(ctx, incoming{ctx}), spanName, asServer...)
	if span.IsRecording() { // few spans are sampled
		span.SetAttributes(callAttributes()...)
	}
	return context.WithValue(ctx, tracedKey{}, true)
}

// HandleRPC implements stats.Handler.
func (t *tracing) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch event := event.(type) {
	case *stats.InHeader:
		addr, ok := event.LocalAddr.(*net.TCPAddr)
		if span := trace.SpanFromContext(ctx); ok && span.IsRecording() {
			span.SetAttributes(semconv.ServerAddress(addr.IP.String()), semconv.ServerPort(addr.Port))
		}
	case *stats.End:
		if ctx.Value(tracedKey{}) != nil {
			t.ended(ctx, event)
		}
	}
}

func (t *tracing) ended(ctx context.Context, end *stats.End) {
	code := status.Code(end.Error)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		if isServers(code) {
			span.SetStatus(otelcodes.Error, "")
		}
		span.SetAttributes(codeAttribute(code))
		span.End()
	}
	t.duration.Record(ctx, end.EndTime.Sub(end.BeginTime).Seconds(), t.labels[code]...)
}

// TagConn implements stats.Handler.
func (*tracing) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*tracing) HandleConn(context.Context, stats.ConnStats) {}

// incoming lets the propagator read the metadata of a call.
type incoming struct{ ctx context.Context } //nolint:containedctx // the metadata is in it

// Get implements propagation.TextMapCarrier.
func (c incoming) Get(key string) string {
	if values := metadata.ValueFromIncomingContext(c.ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier. Extract does not call it.
func (incoming) Set(string, string) {}

// Keys implements propagation.TextMapCarrier. Extract does not call it.
func (incoming) Keys() []string { return nil }
