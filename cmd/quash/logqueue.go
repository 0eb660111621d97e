package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
)

const (
	// logQueueLines is how many lines wait for a slow reader of the log: a second of
	// failures at a thousand calls per second.
	logQueueLines = 1024
	// logCloseTimeout bounds the wait for that reader at exit.
	logCloseTimeout = time.Second
)

// logQueue is the writer of a log that must not hold up a call. Write never blocks and
// never fails: a goroutine writes the lines to a writer that may do both, a pipe that
// nothing reads for example. Lines beyond logQueueLines are dropped and counted.
type logQueue struct {
	lines   chan []byte
	dropped atomic.Int64
	closed  chan struct{}
	drained chan struct{}
}

// newLogQueue returns a queue in front of w. After lines were dropped, the next line that
// could be written is followed by report, which writes their number to w. Only the
// queue's goroutine calls it. Close must be called once.
func newLogQueue(w io.Writer, report func(dropped int64) error) *logQueue {
	q := &logQueue{
		lines:   make(chan []byte, logQueueLines),
		closed:  make(chan struct{}),
		drained: make(chan struct{}),
	}
	go q.run(w, report)
	return q
}

// Write queues a line. slog's handlers write a line with one call, and reuse its memory.
func (q *logQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.dropped.Add(1)
	}
	return len(line), nil
}

func (q *logQueue) run(w io.Writer, report func(dropped int64) error) {
	defer close(q.drained)
	var reported int64
	write := func(line []byte) {
		if _, err := w.Write(line); err != nil {
			q.dropped.Add(1)
			return
		}
		if n := q.dropped.Load(); n > reported && report(n-reported) == nil {
			reported = n
		}
	}
	for {
		select {
		case line := <-q.lines:
			write(line)
		case <-q.closed:
			for len(q.lines) > 0 {
				write(<-q.lines)
			}
			return
		}
	}
}

// observe makes a metric of the dropped lines.
func (q *logQueue) observe(meters metric.MeterProvider) error {
	_, err := meters.Meter(meterName).Int64ObservableCounter("quash.log.lines.dropped",
		metric.WithUnit("{line}"),
		metric.WithDescription("Log lines dropped because standard error was full or could not be written."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(q.dropped.Load())
			return nil
		}))
	if err != nil {
		return fmt.Errorf("declare the metrics: %w", err)
	}
	return nil
}

// Close waits until the lines are written, at most logCloseTimeout.
func (q *logQueue) Close() {
	close(q.closed)
	timeout := time.NewTimer(logCloseTimeout)
	defer timeout.Stop()
	select {
	case <-q.drained:
	case <-timeout.C:
	}
}
