package compare

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

const (
	workers  = 64 // calls at a time
	channels = 4  // gRPC connections that they share
)

// row is a contender, called over a transport, in front of an upstream.
type row struct {
	contender string
	transport transport
	upstream  protocol // empty for a contender that calls none
}

// cost is what a call costs in one round.
type cost struct {
	cpu      time.Duration // a call
	rate     float64       // calls a second
	p50, p99 time.Duration
	peak     int64 // bytes
}

func (c cost) String() string { return fmt.Sprintf("%.1f µs CPU, %.0f calls/s", c.micros(), c.rate) }

func (c cost) micros() float64 { return c.cpu.Seconds() * 1e6 }

// costTarget is how a row must compare with another, in CPU time for each call. The rows have
// the same upstream.
type costTarget struct {
	of, to       row
	most, wanted float64 // the target, and what would be better still
}

// costTargets are those of quash. A new contender that quash is to beat gets lines here.
var costTargets = []costTarget{
	{row{quash.name, overGRPC, http1}, row{textbook.name, overGRPC, http1}, 1.35, 1.1},
	{row{quash.name, overGRPC, http2}, row{textbook.name, overGRPC, http2}, 1.2, 1.1},
	{row{quash.name, native, http1}, row{reverseProxy.name, dropIn, http1}, 1.05, 0.9},
	{row{quash.name, native, http2}, row{reverseProxy.name, dropIn, http2}, 1.05, 0.9},
	{row{quash.name, dropIn, http1}, row{reverseProxy.name, dropIn, http1}, 1.05, 0.9},
	{row{quash.name, dropIn, http2}, row{reverseProxy.name, dropIn, http2}, 1.05, 0.9},
}

// measureCost measures calls that the upstream answers at once.
func measureCost(ctx context.Context, e *env) (string, error) {
	upstreams, stop, err := e.startUpstreams()
	if err != nil {
		return "", err
	}
	defer stop()
	byName := map[string]contender{}
	var rows []row
	for _, c := range contenders {
		if c.name == nginx.name && e.nginx == "" {
			continue
		}
		byName[c.name] = c
		speaks := []protocol{http1, http2}
		if c.alone {
			speaks = []protocol{""}
		}
		for _, t := range c.transports {
			for _, p := range speaks {
				rows = append(rows, row{c.name, t, p})
			}
		}
	}
	costs, err := rounds(ctx, e.pace.rounds, rows, func(r row) (cost, error) {
		url := ""
		if u := upstreams[r.upstream]; u != nil {
			url = u.url
		}
		return e.measureCost(ctx, byName[r.contender], r.transport, url)
	})
	if err != nil {
		return "", err
	}
	return costSection(rows, costs), nil
}

func (e *env) measureCost(ctx context.Context, con contender, t transport, upstreamURL string) (c cost, err error) {
	s, err := con.run(ctx, e, upstreamURL)
	if err != nil {
		return c, err
	}
	defer s.stop()
	client, err := t.dial(s.Addrs, channels)
	if err != nil {
		return c, err
	}
	defer client.close()
	if _, err := closedLoop(ctx, client, e.tokens, workers, e.pace.lasts/3); err != nil { // the warm-up
		return c, err
	}
	before, err := measure.Process(s.PID())
	if err != nil {
		return c, err
	}
	begun := time.Now()
	latencies, err := closedLoop(ctx, client, e.tokens, workers, e.pace.lasts)
	if err != nil {
		return c, err
	}
	took := time.Since(begun)
	after, err := measure.Process(s.PID())
	if err != nil {
		return c, err
	}
	return cost{
		cpu:  (after.CPU - before.CPU) / time.Duration(len(latencies)),
		rate: float64(len(latencies)) / took.Seconds(),
		p50:  measure.Percentile(latencies, 50),
		p99:  measure.Percentile(latencies, 99),
		peak: after.Peak,
	}, nil
}

func costSection(rows []row, costs map[row][]cost) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Cost of a call\n%d workers, each making one call after another with a token of %d bytes. Over gRPC they share %d\n"+
		"connections; over REST each has one of HTTP/1.1. The upstream answers at once. Medians.\n\n", workers, tokenSize, channels)
	t := measure.NewTable("contender", "called over", "upstream", "CPU µs/call", "calls/s", "p50 ms", "p99 ms", "peak MB")
	for _, r := range rows {
		c := costs[r]
		t.Add(r.contender, string(r.transport), string(r.upstream),
			fmt.Sprintf("%.1f", measure.Median(c, cost.micros)),
			fmt.Sprintf("%.0f", measure.Median(c, func(c cost) float64 { return c.rate })),
			millis(measure.Median(c, func(c cost) time.Duration { return c.p50 })),
			millis(measure.Median(c, func(c cost) time.Duration { return c.p99 })),
			megabytes(measure.Median(c, func(c cost) int64 { return c.peak })))
	}
	b.WriteString(t.String())
	b.WriteString("\nRatios of CPU time for each call: the median of the ratios in each round, and their range.\n\n")
	t = measure.NewTable("ratio", "called over", "upstream", "median", "range", "target", "", "better still", "")
	for _, target := range costTargets {
		r := measure.Compare(costs[target.of], costs[target.to], cost.micros)
		t.Add(target.of.contender+" / "+target.to.contender, string(target.of.transport), string(target.of.upstream),
			fmt.Sprintf("%.2f", r.Median), r.Range(),
			fmt.Sprint(target.most), measure.Verdict(r.Median, target.most),
			fmt.Sprint(target.wanted), measure.Verdict(r.Median, target.wanted))
	}
	b.WriteString(t.String())
	return b.String()
}
