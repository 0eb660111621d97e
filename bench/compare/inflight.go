package compare

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/bench/measure"
)

// waiting is a number of calls that wait at the upstream at the same time.
type waiting struct {
	contender *contender
	transport calls.Transport
	calls     int
	rate      int // calls that start per second; 0 for all at one instant
}

func (w waiting) String() string {
	return fmt.Sprintf("%s, %s, %d calls %s", w.contender.name, w.transport, w.calls, w.begin())
}

func (w waiting) begin() string {
	if w.rate == 0 {
		return "at one instant"
	}
	return fmt.Sprintf("%d/s", w.rate)
}

// callsPerChannel is well below quash's limit of calls per connection.
const callsPerChannel = 500

// inFlight are the measurements and their maximums; 0 means no target.
var inFlight = []struct {
	waiting

	connections int64
	late        time.Duration
	peak        int64 // bytes; the maximum is also the peak of the next row
}{
	{waiting{quash, calls.GRPC, 10_000, 0}, 500, 2500 * time.Millisecond, 350e6},
	{waiting{textbook, calls.GRPC, 10_000, 0}, 0, 0, 0},
	{waiting{quash, calls.GRPC, 5_000, 1_000}, 60, 0, 0},
	{waiting{textbook, calls.GRPC, 5_000, 1_000}, 0, 0, 0},
	{waiting{quash, calls.Native, 5_000, 1_000}, 0, 0, 0},
}

// held is the result of a measurement in one round.
type held struct {
	failed      int
	late        time.Duration // of the slowest call, minus the time that the upstream holds it
	peak        int64         // bytes
	perCall     int64         // bytes of resident memory per waiting call
	connections int64         // to the upstream
}

// measureInFlight measures calls to an upstream that holds each of them for the same time, which
// is long enough that all wait together.
func measureInFlight(ctx context.Context, e *env) (string, error) {
	entries := make([]waiting, len(inFlight))
	for i, w := range inFlight {
		entries[i] = w.waiting
		entries[i].calls /= e.pace.fraction
	}
	all, err := rounds(ctx, e.pace.long, entries, e.hold)
	if err != nil {
		return "", err
	}
	t := measure.NewTable("contender", "called over", "calls", "begin", "failed", "", "connections upstream", "",
		"slowest, s late", "", "peak MB", "", "KB/waiting call")
	for i, w := range entries {
		h, target := summary(all[w]), inFlight[i]
		failed, maxPeak := "", target.peak
		if w.contender == quash {
			failed = measure.Verdict(h.failed, 0)
		}
		if maxPeak > 0 {
			maxPeak = min(maxPeak, summary(all[entries[i+1]]).peak)
		}
		perCall := ""
		if h.perCall > 0 { // 0 if not all calls waited at the same time
			perCall = fmt.Sprintf("%.1f", float64(h.perCall)/1e3)
		}
		t.Add(w.contender.name, string(w.transport), strconv.Itoa(w.calls), w.begin(), strconv.Itoa(h.failed), failed,
			strconv.FormatInt(h.connections, 10), verdict(h.connections, target.connections),
			seconds(h.late), verdict(h.late, target.late), megabytes(h.peak), verdict(h.peak, maxPeak), perCall)
	}
	atOnce, builtUp := inFlight[0], inFlight[2]
	return fmt.Sprintf("### Calls in flight\nThe upstream uses HTTP/2 with TLS, accepts %d requests per connection, and holds each request until all calls\n"+
		"wait. Over gRPC there are %d calls per connection. Failures are the sum of all rounds, other figures are\n"+
		"medians. The slowest call is late by the time that it takes longer than the upstream holds it.\n\n%s\n"+
		"Targets: no failures; for calls that begin at one instant, at most %d connections, %s s, and the lower of %s MB\n"+
		"and the textbook façade's peak; for calls that begin one after another over gRPC, at most %d connections.\n",
		goStreams, callsPerChannel, t, atOnce.connections, seconds(atOnce.late), megabytes(atOnce.peak), builtUp.connections), nil
}

// verdict is empty if there is no target.
func verdict[T int64 | time.Duration](value, target T) string {
	if target == 0 {
		return ""
	}
	return measure.Verdict(value, target)
}

func (e *env) hold(ctx context.Context, w waiting) (h held, err error) {
	hold := 6 * time.Second
	if w.rate > 0 {
		hold += time.Duration(w.calls/w.rate) * time.Second
	}
	hold /= time.Duration(e.pace.fraction)
	allWait := make(chan struct{})
	u, err := e.startUpstream(http2, func(rw http.ResponseWriter, r *http.Request, request, _ int64) {
		if request == int64(w.calls) {
			close(allWait)
		}
		select {
		case <-time.After(hold):
			rw.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	})
	if err != nil {
		return h, err
	}
	defer u.stop()
	s, err := e.open(ctx, w.contender, w.transport, (w.calls+callsPerChannel-1)/callsPerChannel, u.url)
	if err != nil {
		return h, err
	}
	defer s.stop()
	rest, err := measure.Process(s.PID())
	if err != nil {
		return h, err
	}
	answered := make(chan []calls.Result, 1)
	go func() { answered <- e.openLoop(ctx, s.client, w.calls, w.rate, 2*patience) }()
	var results []calls.Result
	select {
	case <-allWait:
		now, err := measure.Process(s.PID())
		if err != nil {
			return h, err
		}
		h.perCall = (now.Resident - rest.Resident) / int64(w.calls)
		results = <-answered
	case results = <-answered: // not all calls waited at the same time
	}
	if h.failed, err = calls.Failures(results); err != nil {
		progressf("first failed call: %v", err)
	}
	for _, r := range results {
		h.late = max(h.late, r.Took-hold)
	}
	after, err := measure.Process(s.PID())
	h.peak, h.connections = after.Peak, u.connections.Load()
	return h, err
}

// summary returns the median of each figure over all rounds, and the sum of the failures.
func summary(rounds []held) held {
	sum := held{
		late:        measure.Median(rounds, func(h held) time.Duration { return h.late }),
		peak:        measure.Median(rounds, func(h held) int64 { return h.peak }),
		perCall:     measure.Median(rounds, func(h held) int64 { return h.perCall }),
		connections: measure.Median(rounds, func(h held) int64 { return h.connections }),
	}
	for _, h := range rounds {
		sum.failed += h.failed
	}
	return sum
}
