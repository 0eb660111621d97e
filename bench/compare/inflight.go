package compare

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
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

// maxInFlight is the maximum of calls.
const maxInFlight = 20_000

// inFlight are the measurements. Over REST each waiting call has a connection of its own: 10,000
// are what quash accepts by default, and more would need more descriptors than a process usually
// has. Fewer are built up, so that a run does not take too long.
var inFlight = slices.Concat(
	waitingCalls(calls.GRPC, 0, 1_000, 5_000, 10_000, maxInFlight),
	waitingCalls(calls.GRPC, 1_000, 1_000, 5_000, 10_000, maxInFlight),
	waitingCalls(calls.Native, 0, 1_000, 5_000, 10_000),
	waitingCalls(calls.Native, 1_000, 1_000, 5_000),
)

func waitingCalls(t calls.Transport, rate int, sizes ...int) (all []waiting) {
	for _, n := range sizes {
		for _, c := range []*contender{textbook, usual, quash} {
			if slices.Contains(c.transports, t) {
				all = append(all, waiting{c, t, n, rate})
			}
		}
	}
	return all
}

// limits are the maximums of a measurement of quash; 0 means no target. There must be no failures
// in any.
type limits struct {
	connections int64
	late        time.Duration
	peak        float64 // ratio to the peak of the textbook façade
}

var (
	atOnce  = waiting{quash, calls.GRPC, 10_000, 0}
	builtUp = waiting{quash, calls.GRPC, 5_000, 1_000}

	inFlightLimits = map[waiting]limits{
		atOnce:  {500, 2500 * time.Millisecond, 1},
		builtUp: {connections: 60},
	}
)

// by returns the same calls to another contender.
func (w waiting) by(c *contender) waiting {
	w.contender = c
	return w
}

// divided returns fewer calls, for a short run.
func (w waiting) divided(by int) waiting {
	w.calls /= by
	return w
}

// held is the result of a measurement in one round.
type held struct {
	failed      int
	late        time.Duration // of the slowest call, minus the time that the upstream holds it
	peak        int64         // bytes
	perCall     int64         // bytes of resident memory per waiting call
	connections int64         // to the upstream
}

// measureInFlight measures calls to an upstream that holds each of them for the same time.
func measureInFlight(ctx context.Context, e *env) (string, error) {
	var once, often []waiting // those with limits for memory and their comparisons are measured often
	for _, w := range inFlight {
		if inFlightLimits[w.by(quash)].peak > 0 {
			often = append(often, w.divided(e.pace.fraction))
		} else {
			once = append(once, w.divided(e.pace.fraction))
		}
	}
	all, err := rounds(ctx, e.pace.long, often, e.hold)
	if err != nil {
		return "", err
	}
	others, err := rounds(ctx, 1, once, e.hold)
	if err != nil {
		return "", err
	}
	maps.Copy(all, others)
	return inFlightSection(e.pace, all), nil
}

func inFlightSection(p pace, all map[waiting][]held) string {
	t := measure.NewTable("contender", "called over", "calls", "begin", "failed", "", "connections upstream", "",
		"slowest, s late", "", "peak MB", "/ textbook", "", "/ usual parts", "KB/waiting call")
	peak := func(h held) float64 { return float64(h.peak) }
	for _, row := range inFlight {
		w, limit := row.divided(p.fraction), inFlightLimits[row]
		h := summary(all[w])
		var failed, toTextbook, peakVerdict, toUsual, perCall string
		if w.contender == quash {
			failed = measure.Verdict(h.failed, 0)
			toUsual = ratio(all[w], all[w.by(usual)], peak)
			if others := all[w.by(textbook)]; others != nil {
				toTextbook = ratio(all[w], others, peak)
				peakVerdict = verdict(measure.Compare(all[w], others, peak).Median, limit.peak)
			}
		}
		if h.perCall > 0 { // 0 if not all calls waited at the same time
			perCall = fmt.Sprintf("%.1f", float64(h.perCall)/1e3)
		}
		t.Add(w.contender.name, string(w.transport), strconv.Itoa(w.calls), w.begin(), strconv.Itoa(h.failed), failed,
			strconv.FormatInt(h.connections, 10), verdict(h.connections, limit.connections),
			seconds(h.late), verdict(h.late, limit.late), megabytes(h.peak), toTextbook, peakVerdict, toUsual, perCall)
	}
	limit := inFlightLimits[atOnce]
	return fmt.Sprintf("### Calls in flight\nThe upstream uses HTTP/2 with TLS, accepts %d requests per connection, and holds each request for 2 s, and for\n"+
		"the time in which all calls should arrive: 0.4 ms for each call at one instant. Where they arrived later, not all\n"+
		"waited at the same time, and the last column is empty. Over gRPC there are %d calls per connection. The slowest call\n"+
		"is late by the time that it takes longer than the upstream holds it. The %d gRPC calls that begin at one instant have %d rounds, all others 1. Failures are the\n"+
		"sum, other figures are medians; the ratios are of the peaks.\n\n%s\n"+
		"Targets: no failures; for %d gRPC calls that begin at one instant, at most %d connections, %s s, and the textbook\n"+
		"façade's peak (stretch goal: 0.7 of it); for %d that begin one after another, at most %d connections.\n",
		goStreams, callsPerChannel, atOnce.calls, p.long, t,
		atOnce.calls, limit.connections, seconds(limit.late), builtUp.calls, inFlightLimits[builtUp].connections)
}

// verdict is empty if there is no target.
func verdict[T int64 | float64 | time.Duration](value, target T) string {
	if target == 0 {
		return ""
	}
	return measure.Verdict(value, target)
}

// hold is the time for which the upstream holds each request: long enough that all wait together,
// if those that begin at one instant arrive fast enough.
func (w waiting) hold(p pace) time.Duration {
	arrive := time.Duration(w.calls) * 400 * time.Microsecond
	if w.rate > 0 {
		arrive = time.Duration(w.calls) * time.Second / time.Duration(w.rate)
	}
	return arrive + 2*time.Second/time.Duration(p.fraction)
}

func (e *env) hold(ctx context.Context, w waiting) (h held, err error) {
	hold := w.hold(e.pace)
	var waiting atomic.Int64
	allWait := make(chan struct{})
	all := sync.OnceFunc(func() { close(allWait) })
	u, err := e.startUpstream(http2, func(rw http.ResponseWriter, r *http.Request, _, _ int64) {
		if waiting.Add(1) == int64(w.calls) {
			all()
		}
		defer waiting.Add(-1)
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
