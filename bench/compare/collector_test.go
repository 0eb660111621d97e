package main

import (
	"bytes"
	"net/http"
	"testing"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestCollector(t *testing.T) {
	t.Parallel()
	s := newTestSetup(t)
	spans := func(n int) *tracev1.ResourceSpans {
		return &tracev1.ResourceSpans{ScopeSpans: []*tracev1.ScopeSpans{{Spans: make([]*tracev1.Span, n)}}}
	}
	export, err := proto.Marshal(&collectortrace.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{spans(2), spans(1)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		body   []byte
		status int
	}{
		{"/v1/traces", export, http.StatusOK},
		{"/v1/metrics", export, http.StatusOK},
		{"/v1/traces", []byte("no spans"), http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.collector.url+c.path, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.path, resp.Status, c.status)
		}
	}
	if got := s.collector.spans.Load(); got != 3 {
		t.Errorf("it has counted %d spans, want 3", got)
	}
}
