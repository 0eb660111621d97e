package compare

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/bench/measure"
)

const (
	openRate   = 1000 // calls per second
	maxAdded50 = 300 * time.Microsecond
	maxAdded99 = 2 * time.Millisecond
)

// direct is the row for calls to the upstream itself.
var direct = &contender{name: "direct, net/http"}

// latency is the latency of a row in one round.
type latency struct{ p50, p99 time.Duration }

// measureAdded compares calls through contenders with calls to the upstream itself.
func measureAdded(ctx context.Context, e *env) (string, error) {
	behind := func(p protocol) []row {
		return []row{
			{direct, calls.DropIn, p},
			{textbook, calls.GRPC, p},
			{usual, calls.GRPC, p},
			{quash, calls.GRPC, p},
			{usual, calls.Native, p},
			{quash, calls.Native, p},
		}
	}
	entries := slices.Concat(behind(http1), behind(http2))
	all, err := rounds(ctx, e.pace.rounds, entries, e.measureLatency)
	if err != nil {
		return "", err
	}
	t := measure.NewTable("path", "called over", "upstream", "p50 ms", "p99 ms", "added to p50", "", "added to p99", "",
		"p50 / usual parts", "p99 / usual parts")
	p50, p99 := func(l latency) time.Duration { return l.p50 }, func(l latency) time.Duration { return l.p99 }
	for _, r := range entries {
		cells := []string{
			r.contender.name, string(r.transport), string(r.upstream),
			millis(measure.Median(all[r], p50)), millis(measure.Median(all[r], p99)), "", "", "", "", "", "",
		}
		if r.contender != direct {
			base := all[row{direct, calls.DropIn, r.upstream}]
			added50, added99 := added(all[r], base, p50), added(all[r], base, p99)
			cells[5], cells[7] = millis(added50), millis(added99)
			if r.contender == quash && r.transport == calls.GRPC {
				cells[6], cells[8] = measure.Verdict(added50, maxAdded50), measure.Verdict(added99, maxAdded99)
			}
		}
		if r.contender == quash {
			base := all[row{usual, r.transport, r.upstream}]
			cells[9], cells[10] = ratio(all[r], base, p50), ratio(all[r], base, p99)
		}
		t.Add(cells...)
	}
	return fmt.Sprintf("### Added latency\n%d calls per second start at fixed times, whether or not earlier calls have an answer. Latency counts from the\n"+
		"scheduled start. Figures are medians; the added latency is the median of the differences in each round, and the\n"+
		"ratio that of the ratios.\n\n%s\nTargets over gRPC: at most %s ms added to p50, and %s ms to p99.\n",
		openRate, t, millis(maxAdded50), millis(maxAdded99)), nil
}

// ratio is the median of the ratios of a figure in each round, as a table cell.
func ratio[S any, N int64 | float64 | time.Duration](of, to []S, figure func(S) N) string {
	return fmt.Sprintf("%.2f", measure.Compare(of, to, func(s S) float64 { return float64(figure(s)) }).Median)
}

// added is the median of the differences of a figure in each round.
func added(of, base []latency, figure func(latency) time.Duration) time.Duration {
	differences := make([]time.Duration, len(of))
	for round := range of {
		differences[round] = figure(of[round]) - figure(base[round])
	}
	return measure.Percentile(differences, 50)
}

func (e *env) measureLatency(ctx context.Context, r row) (l latency, err error) {
	var client calls.Client
	if r.contender == direct {
		authority, err := os.ReadFile(e.certFile)
		if err != nil {
			return l, err
		}
		client = calls.REST(r.transport, e.upstreams[r.upstream].url, calls.NewTransport(authority))
		defer client.Close()
	} else {
		s, err := e.open(ctx, r.contender, r.transport, channels, e.upstreams[r.upstream].url)
		if err != nil {
			return l, err
		}
		defer s.stop()
		client = s.client
	}
	count := func(d time.Duration) int { return int(d.Seconds() * openRate) }
	e.openLoop(ctx, client, count(e.pace.lasts/3), openRate, patience) // warm-up
	results := e.openLoop(ctx, client, count(e.pace.lasts), openRate, patience)
	if n, err := calls.Failures(results); n > 0 {
		return l, err
	}
	latencies := make([]time.Duration, len(results))
	for i, r := range results {
		latencies[i] = r.Took
	}
	return latency{measure.Percentile(latencies, 50), measure.Percentile(latencies, 99)}, nil
}
