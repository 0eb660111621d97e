package compare

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/bench/measure"
)

const (
	workers  = 64 // concurrent calls
	channels = 4  // gRPC connections for all workers
	// patience is the deadline of calls: a usual value of services, and far longer than any
	// call takes.
	patience = 30 * time.Second
)

// row is a combination of a contender, a transport and an upstream.
type row struct {
	contender *contender
	transport calls.Transport
	upstream  protocol // empty for a contender without upstream
}

func (r row) String() string {
	return strings.Join([]string{r.contender.name, string(r.transport), string(r.upstream)}, ", ")
}

// rows returns all rows of the contenders.
func rows(contenders []*contender) (all []row) {
	for _, c := range contenders {
		for _, t := range c.transports {
			if c.alone {
				all = append(all, row{c, t, ""})
				continue
			}
			all = append(all, row{c, t, http1}, row{c, t, http2})
		}
	}
	return all
}

// cost is the cost of a call, measured in one round.
type cost struct {
	cpu      time.Duration // per call
	rate     float64       // calls per second
	p50, p99 time.Duration
	peak     int64 // bytes
}

func (c cost) micros() float64 { return c.cpu.Seconds() * 1e6 }

// measureCost measures calls to an upstream that answers at once.
func measureCost(ctx context.Context, e *env) (string, error) {
	var take []*contender
	for _, c := range contenders {
		if c != nginx || e.nginx != "" {
			take = append(take, c)
		}
	}
	costs, err := rounds(ctx, e.pace.rounds, rows(take), e.measureCost)
	if err != nil {
		return "", err
	}
	return costSection(take, costs), nil
}

func (e *env) measureCost(ctx context.Context, r row) (c cost, err error) {
	s, err := e.open(ctx, r.contender, r.transport, channels, e.upstreams[r.upstream].url)
	if err != nil {
		return c, err
	}
	defer s.stop()
	loop := func(lasts time.Duration) ([]time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, lasts+patience)
		defer cancel()
		return calls.ClosedLoop(ctx, workers, lasts, func(ctx context.Context, worker int) error {
			return s.client.Call(ctx, worker, e.request())
		})
	}
	if _, err := loop(e.pace.lasts / 3); err != nil { // warm-up
		return c, err
	}
	before, err := measure.Process(s.PID())
	if err != nil {
		return c, err
	}
	begun := time.Now()
	latencies, err := loop(e.pace.lasts)
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

func costSection(take []*contender, costs map[row][]cost) string {
	all := measure.NewTable("contender", "called over", "upstream", "CPU µs/call", "calls/s", "p50 ms", "p99 ms", "peak MB")
	for _, r := range rows(take) {
		c := costs[r]
		all.Add(r.contender.name, string(r.transport), string(r.upstream),
			fmt.Sprintf("%.1f", measure.Median(c, cost.micros)),
			fmt.Sprintf("%.0f", measure.Median(c, func(c cost) float64 { return c.rate })),
			millis(measure.Median(c, func(c cost) time.Duration { return c.p50 })),
			millis(measure.Median(c, func(c cost) time.Duration { return c.p99 })),
			megabytes(measure.Median(c, func(c cost) int64 { return c.peak })))
	}
	ratios := measure.NewTable("ratio", "called over", "upstream", "median", "range", "target", "", "stretch goal", "")
	for _, c := range take {
		for _, t := range c.targets {
			r := measure.Compare(costs[row{quash, t.quash, t.upstream}], costs[row{c, t.contender, t.upstream}], cost.micros)
			ratios.Add("quash / "+c.name, string(t.quash), string(t.upstream), fmt.Sprintf("%.2f", r.Median), r.Range(),
				fmt.Sprint(t.target), measure.Verdict(r.Median, t.target), fmt.Sprint(t.stretch), measure.Verdict(r.Median, t.stretch))
		}
	}
	return fmt.Sprintf("### Cost of a call\n%d workers each make one call after another, with a token of %d bytes. Over gRPC they share %d\n"+
		"connections; over REST each worker has its own HTTP/1.1 connection. The upstream answers at once. Figures are medians.\n\n%s\n"+
		"Ratios of CPU time per call: the median and the range of the ratios in each round.\n\n%s",
		workers, tokenSize, channels, all, ratios)
}
