package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes what quash exports over OTLP, and counts the spans.
type collector struct {
	url   string
	spans atomic.Int64

	server *http.Server
	served chan error
}

func startCollector(ctx context.Context) (*collector, error) {
	l, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	c := &collector{url: "http://" + l.Addr().String(), served: make(chan error, 1)}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go func() { c.served <- c.server.Serve(l) }()
	return c, nil
}

// ServeHTTP takes an export.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever sent it has gone
	}
	if r.URL.Path == "/v1/traces" {
		var export collectortrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil {
			http.Error(w, "no spans", http.StatusBadRequest)
			return
		}
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans.Add(int64(len(scope.GetSpans())))
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // of an empty message
}

func (c *collector) close() error {
	_ = c.server.Close()
	if err := <-c.served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
