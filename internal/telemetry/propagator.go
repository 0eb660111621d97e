package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the name of the header with the trace context, as net/http writes it.
const Header = "Traceparent"

// TraceContext propagates the W3C trace context without tracestate. A caller can write any text
// into tracestate, also a token, and it would reach SlashID and the collector. Baggage is not
// propagated for the same reason.
var TraceContext propagation.TextMapPropagator = propagator{}

type propagator struct{ propagation.TraceContext }

func (p propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	return withoutState(p.TraceContext.Extract(ctx, carrier))
}

func (p propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	p.TraceContext.Inject(withoutState(ctx), carrier)
}

func (propagator) Fields() []string { return []string{Header} }

func withoutState(ctx context.Context) context.Context {
	span := trace.SpanContextFromContext(ctx)
	if span.TraceState().Len() == 0 {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, span.WithTraceState(trace.TraceState{}))
}
