package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the one that carries the trace context, as net/http writes it.
const Header = "Traceparent"

// TraceContext is W3C's propagator of the trace context, without tracestate: that is
// a caller's free text, which could be a token, and would go to SlashID and to the
// collector of the spans. Baggage is not passed on for the same reason.
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
