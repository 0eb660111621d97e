package slashid_test

import (
	"context"
	"io"
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

	"github.com/quashdev/quash/service/slashid"
)

// Each attempt is a span of the caller's trace, whose context SlashID gets with the
// request, and a duration. What a peer wrote is in none of them.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	const http1 = " network.protocol.name=http network.protocol.version=1.1 server.address=127.0.0.1"
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		status codes.Code
		cause  string
		attrs  string
	}{
		"204": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
			codes.Unset, "", "http.request.method=POST http.response.status_code=204" + http1,
		},
		"503": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, token, http.StatusServiceUnavailable) },
			codes.Error, "", "error.type=503 http.request.method=POST http.response.status_code=503" + http1,
		},
		"a body that breaks off": {
			func(w http.ResponseWriter, r *http.Request) {
				write(t, w, r, "HTTP/1.1 400 "+token+"\r\nTransfer-Encoding: chunked\r\n\r\n"+token+"\r\n")
			},
			codes.Error, "", "error.type=400 http.request.method=POST http.response.status_code=400" + http1,
		},
		"no HTTP": {
			func(w http.ResponseWriter, r *http.Request) { write(t, w, r, token+"\r\n\r\n") },
			codes.Error, "an HTTP error", "error.type=connection http.request.method=POST server.address=127.0.0.1",
		},
		"not sent": {nil, codes.Error, slashid.ErrNotSent.Error(), "error.type=not_sent http.request.method=POST server.address=127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traceparents := make(chan string, 1)
			server := startServer(t, "", func(w http.ResponseWriter, r *http.Request) {
				traceparents <- r.Header.Get("Traceparent")
				if tt.answer != nil {
					tt.answer(w, r)
				}
			})
			spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
			client := newClient(t, server.URL, func(cfg *slashid.Config) {
				cfg.Telemetry = slashid.Telemetry{
					Tracers:    tracers,
					Meters:     sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
					Propagator: propagation.TraceContext{},
				}
			})
			ctx, call := tracers.Tracer("test").Start(t.Context(), "call")
			req := aRequest()
			req.BeforeSend = func() bool { return tt.answer != nil }

			client.Revoke(ctx, req)

			all := spans.GetSpans()
			if len(all) != 1 {
				t.Fatalf("%d spans", len(all))
			}
			span := all[0]
			if span.Name != "POST /token/revoke" || span.Parent.SpanID() != call.SpanContext().SpanID() {
				t.Errorf("the span is %s, with the parent %s", span.Name, span.Parent.SpanID())
			}
			if span.Status.Code != tt.status || !strings.HasPrefix(span.Status.Description, tt.cause) {
				t.Errorf("the status is %v, want %v %s", span.Status, tt.status, tt.cause)
			}
			want := "00-" + call.SpanContext().TraceID().String() + "-" + span.SpanContext.SpanID().String() + "-01"
			if tt.answer != nil && <-traceparents != want {
				t.Errorf("SlashID does not get %q", want)
			}
			for place, attrs := range map[string][]attribute.KeyValue{"span": span.Attributes, "duration": durations(t, collect(t, reader))} {
				if got := text(attrs); got != tt.attrs {
					t.Errorf("the %s has %s, want %s", place, got, tt.attrs)
				}
			}
		})
	}
}

// text is attributes without those that depend on the port of a server.
func text(attrs []attribute.KeyValue) string {
	var all []string
	for _, attr := range attrs {
		if attr.Key != "server.port" && attr.Key != "url.full" && attr.Key != "url.scheme" {
			all = append(all, string(attr.Key)+"="+attr.Value.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func collect(t *testing.T, reader sdkmetric.Reader) (all metricdata.ResourceMetrics) {
	t.Helper()
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// sum adds the points of a metric.
func sum(all metricdata.ResourceMetrics, name string) (total int64) {
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range data.DataPoints {
					total += p.Value
				}
			}
		}
	}
	return total
}

// durations returns the attributes of the only duration of a request.
func durations(t *testing.T, all metricdata.ResourceMetrics) []attribute.KeyValue {
	t.Helper()
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			data, ok := m.Data.(metricdata.Histogram[float64])
			if ok && m.Name == "http.client.request.duration" && len(data.DataPoints) == 1 && data.DataPoints[0].Count == 1 {
				return data.DataPoints[0].Attributes.ToSlice()
			}
		}
	}
	t.Error("there is no duration, or more than one")
	return nil
}

// write answers r with a text, and closes the connection.
func write(t *testing.T, w http.ResponseWriter, r *http.Request, text string) {
	t.Helper()
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("%s: %v", r.URL, err)
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(text))
}

// Connections are counted while they are open, attempts to open one by what they come
// to, and requests while they are under way.
func TestTraffic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		client := newClient(t, "http://slashid.test", func(cfg *slashid.Config) {
			cfg.Telemetry.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		})
		check := func(when string, connections, opened, streams int64) {
			t.Helper()
			all := collect(t, reader)
			got := [3]int64{
				sum(all, "quash.upstream.connections"), sum(all, "quash.upstream.connections.opened"), sum(all, "quash.upstream.streams"),
			}
			if want := [3]int64{connections, opened, streams}; got != want {
				t.Errorf("%s: got %v, want %v", when, got, want)
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
		client.DialThrough(func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED })
		checkNoAnswer(t, revoke(t, client, aRequest()), false)
		check("after a refused connection", 0, 2, 0)
	})
}
