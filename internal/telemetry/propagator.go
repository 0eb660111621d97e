package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// Header is the one that carries the trace context, as net/http writes it.
const Header = "Traceparent"

// TraceContext is W3C's propagator of the trace context, without tracestate: that is
// a caller's free text, which could be a token, and would go to SlashID and to the
// collector of the spans. Baggage is not passed on for the same reason.
var TraceContext propagation.TextMapPropagator = propagator{}

type propagator struct{ propagation.TraceContext }

func (p propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	return p.TraceContext.Extract(ctx, withoutState{carrier})
}

func (p propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	p.TraceContext.Inject(ctx, withoutState{carrier})
}

func (propagator) Fields() []string { return []string{Header} }

type withoutState struct{ propagation.TextMapCarrier }

const stateHeader = "tracestate"

func (c withoutState) Get(key string) string {
	if key == stateHeader {
		return ""
	}
	return c.TextMapCarrier.Get(key)
}

func (c withoutState) Set(key, value string) {
	if key != stateHeader {
		c.TextMapCarrier.Set(key, value)
	}
}
