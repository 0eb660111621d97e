package compare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

// waiting is a number of calls that wait at the upstream at the same time.
type waiting struct {
	contender string
	transport transport
	calls     int
	rate      int // calls a second that begin; 0 for all at one instant
}

func (w waiting) begin() string {
	if w.rate == 0 {
		return "at one instant"
	}
	return fmt.Sprintf("%d/s", w.rate)
}

const (
	atOnce, builtUp = 10_000, 5_000
	buildUpRate     = 1_000

	// callsPerChannel is well below the calls that quash takes on a connection.
	callsPerChannel = 500

	mostLate                         = 2500 * time.Millisecond
	mostPeak                   int64 = 350e6
	mostAtOnce, mostAfterBuild int64 = 500, 60 // connections to the upstream
)

// inFlight are all that is measured.
var inFlight = []waiting{
	{quash.name, overGRPC, atOnce, 0},
	{textbook.name, overGRPC, atOnce, 0},
	{quash.name, overGRPC, builtUp, buildUpRate},
	{textbook.name, overGRPC, builtUp, buildUpRate},
	{quash.name, native, builtUp, buildUpRate},
}

// held is what came of one, in one round.
type held struct {
	failed      int
	failure     error
	late        time.Duration // the slowest call, beyond the time that the upstream holds each
	peak        int64         // bytes
	perCall     int64         // bytes of resident memory that each waiting call adds
	connections int64         // to the upstream
}

func (h held) String() string {
	return fmt.Sprintf("%d failed, slowest %s late, %s MB, %d connections", h.failed, h.late, megabytes(h.peak), h.connections)
}

// measureInFlight has calls wait at an upstream that holds each for the same time: long
// enough that all wait together.
func measureInFlight(ctx context.Context, e *env) (string, error) {
	entries := make([]waiting, len(inFlight))
	for i, w := range inFlight {
		w.calls /= e.pace.fraction
		entries[i] = w
	}
	all, err := rounds(ctx, e.pace.long, entries, func(w waiting) (held, error) { return e.hold(ctx, w) })
	if err != nil {
		return "", err
	}
	return inFlightSection(entries, all), nil
}

func (e *env) hold(ctx context.Context, w waiting) (h held, err error) {
	hold := 6 * time.Second
	if w.rate > 0 {
		hold += time.Duration(w.calls/w.rate) * time.Second
	}
	hold /= time.Duration(e.pace.fraction)
	var arrived atomic.Int64
	allWait := make(chan struct{})
	u, err := e.startUpstream(http2, func(n int64, rw http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == int64(w.calls) {
			close(allWait)
		}
		select {
		case <-time.After(hold):
			revoked(n, rw, r)
		case <-r.Context().Done():
		}
	})
	if err != nil {
		return h, err
	}
	defer u.stop()
	con := textbook
	if w.contender == quash.name {
		con = quash
	}
	s, err := con.run(ctx, e, u.url)
	if err != nil {
		return h, err
	}
	defer s.stop()
	client, err := w.transport.dial(s.Addrs, (w.calls+callsPerChannel-1)/callsPerChannel)
	if err != nil {
		return h, err
	}
	defer client.close()
	rest, err := measure.Process(s.PID())
	if err != nil {
		return h, err
	}
	answered := make(chan []result, 1)
	go func() { answered <- openLoop(ctx, client, e.tokens, w.calls, w.rate, 2*patience) }()
	var results []result
	select {
	case <-allWait:
		now, err := measure.Process(s.PID())
		if err != nil {
			return h, err
		}
		h.perCall = (now.Resident - rest.Resident) / int64(w.calls)
		results = <-answered
	case results = <-answered: // some never arrived, or not before others had their answer
	}
	h.failed, h.failure = failures(results)
	for _, r := range results {
		h.late = max(h.late, r.took-hold)
	}
	after, err := measure.Process(s.PID())
	h.peak, h.connections = after.Peak, u.connections.Load()
	return h, err
}

// summary is the median of each figure of all rounds, and the failures of all together.
func summary(rounds []held) held {
	sum := held{
		late:        measure.Median(rounds, func(h held) time.Duration { return h.late }),
		peak:        measure.Median(rounds, func(h held) int64 { return h.peak }),
		perCall:     measure.Median(rounds, func(h held) int64 { return h.perCall }),
		connections: measure.Median(rounds, func(h held) int64 { return h.connections }),
	}
	for _, h := range rounds {
		sum.failed += h.failed
		sum.failure = errors.Join(sum.failure, h.failure)
	}
	return sum
}

// verdicts are those on quash's failures, connections, lateness and peak memory, empty
// where there is no target. The textbook façade's peak is that of as many calls at once.
func (w waiting) verdicts(h held, textbookPeak int64) (failed, connections, late, peak string) {
	if w.contender != quash.name {
		return "", "", "", ""
	}
	failed = measure.Verdict(h.failed, 0)
	switch {
	case w.rate == 0:
		connections = measure.Verdict(h.connections, mostAtOnce)
		late = measure.Verdict(h.late, mostLate)
		peak = measure.Verdict(h.peak, min(mostPeak, textbookPeak))
	case w.transport == overGRPC:
		connections = measure.Verdict(h.connections, mostAfterBuild)
	}
	return failed, connections, late, peak
}

func inFlightSection(entries []waiting, all map[waiting][]held) string {
	textbookPeak := mostPeak
	for _, w := range entries {
		if w.contender == textbook.name && w.rate == 0 {
			textbookPeak = summary(all[w]).peak
		}
	}
	t := measure.NewTable("contender", "called over", "calls", "begin", "failed", "", "connections upstream", "",
		"slowest, s late", "", "peak MB", "", "KB/waiting call")
	for _, w := range entries {
		h := summary(all[w])
		failed, connections, late, peak := w.verdicts(h, textbookPeak)
		if h.failure != nil {
			failed = fmt.Sprintf("%s (%.100s)", failed, strings.ReplaceAll(h.failure.Error(), "\n", "; "))
		}
		perCall := ""
		if h.perCall > 0 { // 0 when not all waited at the same time
			perCall = fmt.Sprintf("%.1f", float64(h.perCall)/1e3)
		}
		t.Add(w.contender, string(w.transport), strconv.Itoa(w.calls), w.begin(),
			strconv.Itoa(h.failed), failed, strconv.FormatInt(h.connections, 10), connections,
			seconds(h.late), late, megabytes(h.peak), peak, perCall)
	}
	return fmt.Sprintf("### Calls in flight\nThe upstream speaks HTTP/2 with TLS, takes %d requests on a connection, and holds each until all wait. Over\n"+
		"gRPC there are %d calls on a connection. Failures of all rounds, otherwise medians.\n\n%s\n"+
		"Targets: no failures; at one instant at most %d connections, %s s, and %s MB or what the textbook façade takes;\n"+
		"built up over gRPC at most %d connections.\n",
		goStreams, callsPerChannel, t, mostAtOnce, seconds(mostLate), megabytes(mostPeak), mostAfterBuild)
}
