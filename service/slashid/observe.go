package slashid

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
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

// observer records a span and a duration for each request, according to the semantic
// conventions for HTTP clients. otelhttp is not used, because it would take a seventh of the
// time of a call (docs/decisions.md).
type observer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram

	common    []attribute.KeyValue
	spanStart []trace.SpanStartOption
	// revoked caches the attributes of a 204 by the major version of HTTP: building a set
	// costs more than recording a duration.
	revoked map[int][]metric.RecordOption
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
	// Only an invalid name causes an error, and this one is constant.
	duration, _ := httpconv.NewClientRequestDuration(t.Meters.Meter(scope))
	o := &observer{
		tracer: t.Tracers.Tracer(scope), propagator: t.Propagator, duration: duration.Inst(),
		common: append(common, semconv.URLScheme(u.Scheme)),
		spanStart: []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(append(common, semconv.URLFull(u.String()))...),
		},
		revoked: map[int][]metric.RecordOption{},
	}
	for _, major := range []int{1, 2} {
		o.revoked[major] = o.options(endAttributes(&http.Response{StatusCode: http.StatusNoContent, ProtoMajor: major}, nil))
	}
	return o
}

func (o *observer) options(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(append(attrs, o.common...)...))}
}

// observation is the observation of one request.
type observation struct {
	*observer

	span  trace.Span
	begun time.Time
}

// begin starts the observation of a request. It returns a context with the request's span,
// and adds the trace context to the headers.
func (o *observer) begin(ctx context.Context, h http.Header) (context.Context, *observation) {
	ctx, span := o.tracer.Start(ctx, "POST "+revokePath, o.spanStart...) //nolint:spancheck // end ends it
	o.propagator.Inject(ctx, propagation.HeaderCarrier(h))
	return ctx, &observation{o, span, time.Now()} //nolint:spancheck // end ends it
}

// end records the end of the request, which is a response or an error.
func (o *observation) end(ctx context.Context, resp *http.Response, err error) {
	if o.span.IsRecording() {
		o.span.SetAttributes(endAttributes(resp, err)...)
		switch {
		case err != nil:
			o.span.SetStatus(codes.Error, err.Error())
		case resp.StatusCode >= http.StatusBadRequest:
			o.span.SetStatus(codes.Error, "")
		}
	}
	o.span.End()
	var options []metric.RecordOption
	if err == nil && resp.StatusCode == http.StatusNoContent {
		options = o.revoked[resp.ProtoMajor]
	}
	if options == nil {
		options = o.options(endAttributes(resp, err))
	}
	o.duration.Record(ctx, time.Since(o.begun).Seconds(), options...)
}

// endAttributes returns the attributes of a response or an error.
func endAttributes(resp *http.Response, err error) []attribute.KeyValue {
	if err != nil {
		return []attribute.KeyValue{semconv.ErrorTypeKey.String(errorType(err))}
	}
	version := strconv.Itoa(resp.ProtoMajor)
	if resp.ProtoMajor == 1 {
		version = "1.1"
	}
	attrs := []attribute.KeyValue{
		semconv.HTTPResponseStatusCode(resp.StatusCode),
		semconv.NetworkProtocolName("http"),
		semconv.NetworkProtocolVersion(version),
	}
	if resp.StatusCode >= http.StatusBadRequest {
		attrs = append(attrs, semconv.ErrorTypeKey.String(strconv.Itoa(resp.StatusCode)))
	}
	return attrs
}

// errorType returns the value of error.type for a request without a response.
func errorType(err error) string {
	switch {
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
