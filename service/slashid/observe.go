package slashid

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/http/httpguts"
)

const scope = "github.com/quashdev/quash/service/slashid"

// observer makes a span and a duration of each attempt, as OpenTelemetry's conventions
// for HTTP clients want them. What is the same for all attempts is worked out once.
type observer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	traffic    *traffic
	duration   metric.Float64Histogram

	common    []attribute.KeyValue
	spanStart []trace.SpanStartOption
	// attributes has the metric's for each ending that there has been, of which there
	// are few.
	attributes sync.Map // of ending to metric.MeasurementOption
}

// ending is what tells the ends of attempts apart.
type ending struct {
	protocol string
	status   int
	failure  Kind // 0 where there is an answer
}

func newObserver(t Telemetry, traffic *traffic, e endpoint) *observer {
	u := url.URL{Scheme: e.scheme, Host: e.authority}
	port, _ := strconv.Atoi(portOf(&u))
	common := []attribute.KeyValue{
		semconv.HTTPRequestMethodPost,
		semconv.ServerAddress(u.Hostname()),
		semconv.ServerPort(port),
	}
	// What can be wrong with an instrument is its name, and this one is constant.
	duration, _ := httpconv.NewClientRequestDuration(t.Meters.Meter(scope))
	return &observer{
		tracer: t.Tracers.Tracer(scope), propagator: t.Propagator, traffic: traffic, duration: duration.Inst(),
		common: append(common, semconv.URLScheme(e.scheme)),
		spanStart: []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(append(common, semconv.URLFull(u.String()+e.path))...),
		},
	}
}

// observation is of one attempt.
type observation struct {
	observer *observer
	ctx      context.Context //nolint:containedctx // it is how metrics find the span
	span     trace.Span
	begun    time.Time
	trace    traceHeaders
}

func (o *observer) begin(ctx context.Context) observation {
	o.traffic.streams.Add(1)
	one := observation{observer: o, begun: time.Now()}
	// Of ctx only the values: what the attempt is part of may end before it.
	one.ctx, one.span = o.tracer.Start(context.WithoutCancel(ctx), "POST "+revokePath, o.spanStart...) //nolint:spancheck // end ends it
	o.propagator.Inject(one.ctx, &one.trace)                                                           //nolint:contextcheck // likewise
	return one
}

// headers are those that tell SlashID of the trace.
func (o *observation) headers(yield func(name header, value string, singular bool)) {
	for _, h := range o.trace {
		yield(h.name, h.value, singular)
	}
}

// end ends the attempt: a has its answer, if there is any.
func (o *observation) end(result Result, a answer) {
	all := o.observer
	all.traffic.streams.Add(-1)
	end := ending{a.protocol, a.status, 0}
	if a.status == 0 {
		end.failure = result.Kind
	}
	all.duration.Record(o.ctx, time.Since(o.begun).Seconds(), all.attributesOf(end))
	if o.span.IsRecording() {
		o.span.SetAttributes(end.attributes()...)
		switch {
		case a.bodyErr != nil:
			o.span.SetStatus(codes.Error, publicCause(a.bodyErr).Error())
		case result.Err != nil:
			o.span.SetStatus(codes.Error, result.Err.Error())
		case a.status >= 400:
			o.span.SetStatus(codes.Error, "")
		}
	}
	o.span.End()
}

func (o *observer) attributesOf(end ending) metric.MeasurementOption {
	if known, ok := o.attributes.Load(end); ok {
		return known.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is in it
	}
	option := metric.WithAttributeSet(attribute.NewSet(append(end.attributes(), o.common...)...))
	o.attributes.Store(end, option)
	return option
}

// attributes are those that an ending has of its own.
func (e ending) attributes() (all []attribute.KeyValue) {
	if e.failure != 0 {
		return append(all, semconv.ErrorTypeKey.String(e.failure.String()))
	}
	if e.status == 0 {
		return append(all, semconv.ErrorTypeOther) // it panicked
	}
	all = append(all,
		semconv.HTTPResponseStatusCode(e.status),
		semconv.NetworkProtocolName("http"),
		semconv.NetworkProtocolVersion(e.protocol),
	)
	if e.status >= 400 {
		all = append(all, semconv.ErrorTypeKey.String(strconv.Itoa(e.status)))
	}
	return all
}

// traceHeaders are what a propagator puts into a request.
type traceHeaders []traceHeader

type traceHeader struct {
	name  header
	value string
}

// Get implements [propagation.TextMapCarrier].
func (h *traceHeaders) Get(key string) string {
	for _, one := range *h {
		if one.name.lower == key {
			return one.value
		}
	}
	return ""
}

// Set implements [propagation.TextMapCarrier]. What no header can hold is left out: it
// would end up among the others.
func (h *traceHeaders) Set(key, value string) {
	if !httpguts.ValidHeaderFieldName(key) || !httpguts.ValidHeaderFieldValue(value) {
		return
	}
	*h = append(*h, traceHeader{newHeader(http.CanonicalHeaderKey(key)), value})
}

// Keys implements [propagation.TextMapCarrier].
func (h *traceHeaders) Keys() (keys []string) {
	for _, one := range *h {
		keys = append(keys, one.name.lower)
	}
	return keys
}
