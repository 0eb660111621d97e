package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// Nothing moves any more once the counts have been the same for stableFor; where
	// they are never, the sample is taken after settleLimit.
	stableFor   = time.Second
	settleLimit = 20 * time.Second
	settleLook  = 100 * time.Millisecond
)

// run is one soak.
type run struct {
	plan  plan
	out   string
	begun time.Time

	upstream *upstream
	quash    *quash
	load     *load
	probe    *probe
	tally    tally
	record   record
}

// record is what the report and the graph are made from.
type record struct {
	mu      sync.Mutex
	phase   string
	spans   []span
	samples []sample
}

// span is when a phase was.
type span struct {
	phase    string
	from, to time.Duration
}

var errInterrupted = errors.New("interrupted: no verdict")

// soak runs everything, writes what there is to see into the folder out and to w,
// and returns why the soak failed.
func soak(ctx context.Context, duration time.Duration, out string, w io.Writer) error {
	r := &run{out: out}
	var err error
	if r.plan, err = planFor(duration); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // holds no secret
		return err
	}
	tmp, err := os.MkdirTemp("", "quash-soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	defer r.stop()
	if err := r.start(ctx, tmp); err != nil {
		return err
	}
	fmt.Fprintf(w, "soaking quash, pid %d: %d cycles of %s under load; its log is %s\n",
		r.probe.pid, r.plan.cycles, r.plan.load.Round(time.Second), r.quash.logPath)

	err = r.cycles(ctx)
	r.probe.close()
	r.load.close()
	if err == nil {
		err = errors.Join(append(r.verdict(), r.quash.stop(), checkLog(r.quash.logPath))...)
	}
	return errors.Join(err, r.write(w))
}

// start brings up everything that the run needs. Whatever comes of it, stop ends it.
func (r *run) start(ctx context.Context, tmp string) error {
	doc, err := os.ReadFile(outcomesDoc)
	if err != nil {
		return fmt.Errorf("run this from the repository's root: %w", err)
	}
	table, err := readOutcomes(string(doc))
	if err != nil {
		return err
	}
	if r.upstream, err = newUpstream(r.plan.tokenLifetime()); err != nil {
		return err
	}
	// Each quiet swaps it, and the last cycle is to be of HTTP/2: that a peer has closed an
	// idle connection of HTTP/1.1 quash sees only when it next needs one, and then there is
	// no more load.
	r.upstream.http2 = r.plan.cycles%2 == 0
	if err := r.upstream.up(ctx); err != nil {
		return err
	}
	if r.quash, err = startQuash(ctx, tmp, filepath.Join(r.out, "quash.log"), r.upstream); err != nil {
		return err
	}
	r.probe = newProbe(r.quash)
	r.load, err = newLoad(r.quash, r.upstream, table, &r.tally)
	r.begun = time.Now()
	return err
}

// stop ends what start brought up, and still is.
func (r *run) stop() {
	if r.quash != nil {
		r.quash.kill()
	}
	if r.upstream != nil {
		r.upstream.Close()
		_ = r.upstream.down()
	}
}

// cycles goes through the plan, until something is wrong.
func (r *run) cycles(ctx context.Context) error {
	running, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-r.quash.ended:
			cancel()
		case <-running.Done():
		}
	})
	err := r.all(running)
	switch {
	case ctx.Err() != nil: // whatever else came of that
		return errInterrupted
	case running.Err() != nil:
		return fmt.Errorf("quash ended by itself (%s); the end of %s may say why", r.quash.cmd.ProcessState, r.quash.logPath)
	}
	return err
}

func (r *run) all(ctx context.Context) error {
	if err := r.quiet(ctx); err != nil {
		return err
	}
	for i := range r.plan.cycles {
		if err := r.cycle(ctx); err != nil {
			return err
		}
		if i+1 == r.plan.warmUp {
			if err := r.keepProfiles(ctx, baseline); err != nil {
				return err
			}
		}
		if r.tally.wrongSoFar() > 0 {
			return nil // the verdict says so
		}
	}
	// With no load in between: see verdictOn.
	if err := r.quiet(ctx); err != nil {
		return err
	}
	return r.keepProfiles(ctx, atEnd)
}

// cycle goes through every phase under load, and measures in the quiet after it.
func (r *run) cycle(ctx context.Context) error {
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	sampling, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	var load, samples sync.WaitGroup
	load.Go(func() { r.load.run(loading, r.plan.load) })
	var failures [2]error
	samples.Go(func() { failures[0] = r.sampleEverySecond(sampling) })
	if failures[1] = r.goThroughPhases(ctx); failures[1] != nil {
		stopLoad()
	}
	load.Wait()
	stopSampling()
	samples.Wait()
	if err := cmp.Or(failures[0], failures[1], ctx.Err()); err != nil {
		return err
	}
	return r.quiet(ctx)
}

func (r *run) goThroughPhases(ctx context.Context) error {
	for i := range phases {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := &phases[i]
		r.enter(p.name)
		if err := p.pass(ctx, r.upstream, p.lasts(r.plan.load)); err != nil {
			return err
		}
	}
	return nil
}

// sampleEverySecond measures until ctx ends.
func (r *run) sampleEverySecond(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		if err := r.sample(ctx, heapAsItIs); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-second.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// quiet measures once nothing moves any more: the callers have ended already; now
// the upstream gives up its connections, and quash its garbage. What the callers
// were told is proved.
func (r *run) quiet(ctx context.Context) error {
	r.enter(quiet)
	if err := r.finish(ctx); err != nil {
		return err
	}
	if err := r.upstream.swap(ctx); err != nil {
		return err
	}
	if err := r.load.connect(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	for _, untrue := range r.load.judge.proveClaims() {
		r.tally.happened("claims that were untrue in the end", untrue)
	}
	if err := r.probe.emptyPools(ctx); err != nil {
		return err
	}
	return r.sample(ctx, heapOfLive)
}

// finish waits until the revocations have ended whose callers had gone: they would open
// connections to the upstream once more, which stay open for those that never come.
func (r *run) finish(ctx context.Context) error {
	limit := time.Now().Add(settleLimit)
	for time.Now().Before(limit) {
		if n, err := r.probe.inFlight(ctx); err != nil || n == 0 {
			return err
		}
		pause(ctx, settleLook)
	}
	return nil
}

// settle waits until goroutines and descriptors stay the same.
func (r *run) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("quash does not answer its admin listener"))
	defer cancel()
	limit := time.Now().Add(settleLimit)
	var same int
	for last := (sample{}); time.Duration(same)*settleLook < stableFor && time.Now().Before(limit); {
		goroutines, err := r.probe.goroutines(ctx)
		if err != nil {
			return err
		}
		descriptors, err := r.probe.descriptors()
		if err != nil {
			return err
		}
		same++
		if goroutines != last.goroutines || descriptors != last.descriptors {
			same = 0
		}
		last = sample{goroutines: goroutines, descriptors: descriptors}
		pause(ctx, settleLook)
	}
	return nil
}

// enter notes that a phase begins, and the one before it ends.
func (r *run) enter(phase string) {
	now := time.Since(r.begun)
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	if n := len(r.record.spans); n > 0 {
		r.record.spans[n-1].to = now
	}
	r.record.phase = phase
	r.record.spans = append(r.record.spans, span{phase, now, now})
}

// sample measures, and keeps it.
func (r *run) sample(ctx context.Context, heapQuery string) error {
	s, err := r.probe.take(ctx, heapQuery)
	if err != nil {
		return err
	}
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	s.at, s.phase, s.calls = time.Since(r.begun), r.record.phase, r.tally.calls.Load()
	r.record.samples = append(r.record.samples, s)
	r.record.spans[len(r.record.spans)-1].to = s.at
	return nil
}

// quietSamples are those that are compared, the warm-up's left out.
func (r *run) quietSamples() []sample {
	var all []sample
	for _, s := range r.record.samples {
		if s.phase == quiet {
			all = append(all, s)
		}
	}
	return all[min(r.plan.warmUp, len(all)):]
}
