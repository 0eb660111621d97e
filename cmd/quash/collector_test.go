package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes what a process exports over OTLP.
type collector struct {
	url string
	// look is shown all that comes, as it comes.
	look func(kind, text string)

	mu      sync.Mutex
	spans   []*tracev1.Span
	metrics map[string]bool // the names
	grown   chan struct{}   // closed and replaced whenever there is more
}

func startCollector(t *testing.T, look func(kind, text string)) *collector {
	t.Helper()
	c := &collector{look: look, metrics: map[string]bool{}, grown: make(chan struct{})}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// environment makes a process export to c, at once.
func (c *collector) environment() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url,
		"OTEL_BSP_SCHEDULE_DELAY=50",
		"OTEL_METRIC_EXPORT_INTERVAL=500",
	}
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = c.take(r.URL.Path, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // of an empty message
}

func (c *collector) take(path string, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.grown)
	c.grown = make(chan struct{})
	switch path {
	case "/v1/traces":
		c.look("exported traces", string(body)) // in which text stands as it is
		var got collectortrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			return err
		}
		for _, resource := range got.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		return nil
	case "/v1/metrics":
		c.look("exported metrics", string(body))
		var got collectormetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			return err
		}
		for _, resource := range got.GetResourceMetrics() {
			for _, scope := range resource.GetScopeMetrics() {
				for _, metric := range scope.GetMetrics() {
					c.metrics[metric.GetName()] = true
				}
			}
		}
		return nil
	default:
		return fmt.Errorf("nothing is exported to %s", path)
	}
}

// await waits until what is there is enough.
func (c *collector) await(t *testing.T, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		done, grown := enough(), c.grown
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("after %s there are but %d spans and the metrics %v", patience, len(c.spans), c.metrics)
		}
	}
}

// trace are the spans of one trace, by the id of their parents.
func (c *collector) trace(id string) map[string][]*tracev1.Span {
	spans := map[string][]*tracev1.Span{}
	for _, span := range c.spans {
		if hex.EncodeToString(span.GetTraceId()) == id {
			parent := hex.EncodeToString(span.GetParentSpanId())
			spans[parent] = append(spans[parent], span)
		}
	}
	return spans
}

// attributes are those of a span, as text.
func attributes(span *tracev1.Span) map[string]string {
	all := map[string]string{}
	for _, attr := range span.GetAttributes() {
		switch value := attr.GetValue(); {
		case value.GetStringValue() != "":
			all[attr.GetKey()] = value.GetStringValue()
		default:
			all[attr.GetKey()] = strconv.FormatInt(value.GetIntValue(), 10)
		}
	}
	return all
}
