package slashid

import (
	"context"
	"errors"
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
)

const scope = "github.com/quashdev/quash/service/slashid"

// observer makes a span and a duration of each request, as the semantic conventions for
// HTTP clients want them. otelhttp does the same for a seventh of what a call costs,
// because it works out every attribute anew (docs/decisions.md).
type observer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram

	common    []attribute.KeyValue
	spanStart []trace.SpanStartOption
	// sets has the attribute set of each end that was seen. There are few.
	sets sync.Map // of requestEnd to metric.MeasurementOption
}

func newObserver(t Telemetry, u *url.URL) *observer {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	portNumber, _ := strconv.Atoi(port)
	common := []attribute.KeyValue{
		semconv.HTTPRequestMethodPost,
		semconv.ServerAddress(u.Hostname()),
		semconv.ServerPort(portNumber),
	}
	// What can be wrong with an instrument is its name, and this one is constant.
	duration, _ := httpconv.NewClientRequestDuration(t.Meters.Meter(scope))
	return &observer{
		tracer: t.Tracers.Tracer(scope), propagator: t.Propagator, duration: duration.Inst(),
		common: append(common, semconv.URLScheme(u.Scheme)),
		spanStart: []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(append(common, semconv.URLFull(u.String()))...),
		},
	}
}

// observation is that of one request.
type observation struct {
	*observer

	span  trace.Span
	begun time.Time
}

// begin observes a request from now on. It returns the context of its span, and adds the
// trace to its headers.
func (o *observer) begin(ctx context.Context, h http.Header) (context.Context, *observation) {
	ctx, span := o.tracer.Start(ctx, "POST "+revokePath, o.spanStart...) //nolint:spancheck // end ends it
	o.propagator.Inject(ctx, propagation.HeaderCarrier(h))
	return ctx, &observation{o, span, time.Now()} //nolint:spancheck // end ends it
}

// end observes the end of the request: an answer or an error.
func (o *observation) end(ctx context.Context, resp *http.Response, err error) {
	end := requestEnd{err: errorType(err)}
	if resp != nil {
		end.protocol, end.status = resp.ProtoMajor, resp.StatusCode
	}
	o.duration.Record(ctx, time.Since(o.begun).Seconds(), o.setOf(end))
	if o.span.IsRecording() {
		o.span.SetAttributes(end.attributes()...)
		switch {
		case err != nil:
			o.span.SetStatus(codes.Error, err.Error())
		case end.status >= http.StatusBadRequest:
			o.span.SetStatus(codes.Error, "")
		}
	}
	o.span.End()
}

func (o *observer) setOf(end requestEnd) metric.MeasurementOption {
	if known, ok := o.sets.Load(end); ok {
		return known.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is in it
	}
	option := metric.WithAttributeSet(attribute.NewSet(append(end.attributes(), o.common...)...))
	o.sets.Store(end, option)
	return option
}

// requestEnd distinguishes the ends of requests in metrics.
type requestEnd struct {
	protocol, status int
	err              string
}

// errorType names why there was no answer.
func errorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, ErrNotSent):
		return "not_sent"
	default:
		return "connection"
	}
}

func (e requestEnd) attributes() []attribute.KeyValue {
	if e.err != "" {
		return []attribute.KeyValue{semconv.ErrorTypeKey.String(e.err)}
	}
	version := strconv.Itoa(e.protocol)
	if e.protocol == 1 {
		version = "1.1"
	}
	attrs := []attribute.KeyValue{
		semconv.HTTPResponseStatusCode(e.status),
		semconv.NetworkProtocolName("http"),
		semconv.NetworkProtocolVersion(version),
	}
	if e.status >= http.StatusBadRequest {
		attrs = append(attrs, semconv.ErrorTypeKey.String(strconv.Itoa(e.status)))
	}
	return attrs
}
