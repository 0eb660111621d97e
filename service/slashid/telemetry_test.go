package slashid

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Each request has a duration and a span in the caller's trace, and SlashID receives the trace
// context. Neither contains anything that the peer sent.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	const (
		request  = "http.request.method=POST server.address=slashid.test server.port=80 "
		http1    = "network.protocol.name=http network.protocol.version=1.1 "
		url      = "url.full=http://slashid.test/token/revoke"
		urlShort = "url.scheme=http"
	)
	for name, tt := range map[string]struct {
		answer string
		status codes.Code
		cause  string
		attrs  string // in order, without the URL's attributes
	}{
		"204": {"HTTP/1.1 204 " + token + "\n\n", codes.Unset, "", strings.Replace(request, "POST ", "POST http.response.status_code=204 "+http1, 1)},
		"a body that breaks off": {
			"HTTP/1.1 400 " + token + "\nTransfer-Encoding: chunked\n\n" + token + "\n", codes.Error, "",
			"error.type=400 " + strings.Replace(request, "POST ", "POST http.response.status_code=400 "+http1, 1),
		},
		"no HTTP":  {token + "\n\n", codes.Error, "HTTP error", "error.type=connection " + request},
		"not sent": {"", codes.Error, ErrNotSent.Error(), "error.type=not_sent " + request},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
			client := newClient(t, "http://slashid.test", func(cfg *Config) {
				meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
				cfg.Telemetry = Telemetry{Tracers: tracers, Meters: meters, Propagator: propagation.TraceContext{}}
			})
			traceparent := ""
			connectPeer(t, client, func(c *peerConn) {
				if req := c.readRequest(); req != nil {
					traceparent = req.Header.Get("Traceparent")
					c.write(tt.answer)
				}
			})
			ctx, call := tracers.Tracer("test").Start(t.Context(), "call")
			req := aRequest()
			req.BeforeSend = func() bool { return tt.answer != "" }

			client.Revoke(ctx, req)

			all := spans.GetSpans()
			if len(all) != 1 {
				t.Fatalf("%d spans", len(all))
			}
			span := all[0]
			if span.Name != "POST /token/revoke" || span.Parent.SpanID() != call.SpanContext().SpanID() ||
				span.Status.Code != tt.status || !strings.HasPrefix(span.Status.Description, tt.cause) {
				t.Errorf("the span is %s, status %v, want %v %s", span.Name, span.Status, tt.status, tt.cause)
			}
			want := "00-" + call.SpanContext().TraceID().String() + "-" + span.SpanContext.SpanID().String() + "-01"
			if tt.answer != "" && traceparent != want {
				t.Errorf("SlashID gets %q, want %q", traceparent, want)
			}
			if got := inOrder(span.Attributes); got != tt.attrs+url {
				t.Errorf("the span has %s, want %s", got, tt.attrs+url)
			}
			durations := metrics(t, reader)["http.client.request.duration"].(metricdata.Histogram[float64]).DataPoints
			if len(durations) != 1 || durations[0].Count != 1 || inOrder(durations[0].Attributes.ToSlice()) != tt.attrs+urlShort {
				t.Errorf("the durations are %+v", durations)
			}
		})
	}
}

func inOrder(attrs []attribute.KeyValue) string {
	var words []string
	for _, attr := range attrs {
		words = append(words, string(attr.Key)+"="+attr.Value.String())
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// metrics returns all metrics by name.
func metrics(t *testing.T, reader sdkmetric.Reader) map[string]metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]metricdata.Aggregation{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		byName[m.Name] = m.Data
	}
	return byName
}

// Open connections, dials by result, and requests in flight are counted.
func TestTraffic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		client := newClient(t, "http://slashid.test", func(cfg *Config) {
			cfg.Telemetry.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		})
		check := func(when string, want ...int64) {
			t.Helper()
			all := metrics(t, reader)
			for i, name := range []string{"quash.upstream.connections", "quash.upstream.connections.opened", "quash.upstream.streams"} {
				got := int64(0)
				for _, p := range all[name].(metricdata.Sum[int64]).DataPoints {
					got += p.Value
				}
				if got != want[i] {
					t.Errorf("%s, %s is %d, want %d", when, name, got, want[i])
				}
			}
		}
		check("at first", 0, 0, 0)
		peer := connectPeer(t, client, func(c *peerConn) {
			for stream := range c.requests() {
				check("during a request", 1, 1, 1)
				c.answer(stream, http.StatusNoContent)
			}
		})
		for range 2 {
			checkRevoked(t, revoke(t, client, aRequest()))
			check("after a request", 1, 1, 0)
		}
		peer.close()
		synctest.Wait()
		check("after the connection", 0, 1, 0)
		client.dialThrough(func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED })
		checkNoAnswer(t, revoke(t, client, aRequest()), false)
		check("after a refused connection", 0, 2, 0)
	})
}
