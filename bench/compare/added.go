package compare

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

// path is how a call gets to an upstream: directly, or through quash over gRPC.
type path struct {
	through  string
	upstream protocol
}

const direct = "direct, net/http"

// latency is that of a path, in one round.
type latency struct{ p50, p99 time.Duration }

const (
	openRate    = 1000 // calls a second
	mostAdded50 = 300 * time.Microsecond
	mostAdded99 = 2 * time.Millisecond
)

// measureAdded compares calls through quash with calls to the upstream itself.
func measureAdded(ctx context.Context, e *env) (string, error) {
	upstreams, stop, err := e.startUpstreams()
	if err != nil {
		return "", err
	}
	defer stop()
	paths := []path{{direct, http1}, {quash.name, http1}, {direct, http2}, {quash.name, http2}}
	all, err := rounds(ctx, e.pace.rounds, paths, func(p path) (latency, error) {
		return e.measureLatency(ctx, p.through, upstreams[p.upstream].url)
	})
	if err != nil {
		return "", err
	}
	t := measure.NewTable("path", "upstream", "p50 ms", "p99 ms", "added to p50", "", "added to p99", "")
	for _, p := range paths {
		p50, p99 := func(l latency) time.Duration { return l.p50 }, func(l latency) time.Duration { return l.p99 }
		cells := []string{p.through, string(p.upstream), millis(measure.Median(all[p], p50)), millis(measure.Median(all[p], p99)), "", "", "", ""}
		if p.through != direct {
			base := all[path{direct, p.upstream}]
			added50, added99 := added(all[p], base, p50), added(all[p], base, p99)
			cells[4], cells[5] = millis(added50), measure.Verdict(added50, mostAdded50)
			cells[6], cells[7] = millis(added99), measure.Verdict(added99, mostAdded99)
		}
		t.Add(cells...)
	}
	return fmt.Sprintf("### Added latency\n%d calls a second begin at fixed times, whether or not others have an answer, and count from when they were\n"+
		"due. Medians; what is added is the median of the differences in each round.\n\n%s\nTargets: %s and %s ms.\n",
		openRate, t, millis(mostAdded50), millis(mostAdded99)), nil
}

// added is the median of what a figure has grown by in each round.
func added(of, base []latency, figure func(latency) time.Duration) time.Duration {
	differences := make([]time.Duration, len(of))
	for round := range of {
		differences[round] = figure(of[round]) - figure(base[round])
	}
	return measure.Percentile(differences, 50)
}

func (e *env) measureLatency(ctx context.Context, through, upstreamURL string) (l latency, err error) {
	client, stop, err := e.dialPath(ctx, through, upstreamURL)
	if err != nil {
		return l, err
	}
	defer stop()
	calls := func(d time.Duration) int { return int(d.Seconds() * openRate) }
	openLoop(ctx, client, e.tokens, calls(e.pace.lasts/3), openRate, patience) // the warm-up
	results := openLoop(ctx, client, e.tokens, calls(e.pace.lasts), openRate, patience)
	if n, err := failures(results); n > 0 {
		return l, err
	}
	latencies := make([]time.Duration, len(results))
	for i, r := range results {
		latencies[i] = r.took
	}
	return latency{measure.Percentile(latencies, 50), measure.Percentile(latencies, 99)}, nil
}

// dialPath returns a caller, and what ends it and all that it needs.
func (e *env) dialPath(ctx context.Context, through, upstreamURL string) (client caller, stop func(), err error) {
	if through == direct {
		authority, err := os.ReadFile(e.certFile)
		client := callREST(newTransport(authority), upstreamURL+dropInPath, 204)
		return client, client.close, err
	}
	s, err := quash.run(ctx, e, upstreamURL)
	if err != nil {
		return client, nil, err
	}
	client, err = overGRPC.dial(s.Addrs, channels)
	if err != nil {
		s.stop()
		return client, nil, err
	}
	return client, func() { client.close(); s.stop() }, nil
}

func (l latency) String() string {
	return strings.Join([]string{"p50", millis(l.p50), "p99", millis(l.p99), "ms"}, " ")
}
