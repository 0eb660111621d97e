package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sample is what quash holds at one time.
type sample struct {
	at    time.Duration // since the run began
	phase string
	calls int64 // made until then

	goroutines  int
	heap        int64 // bytes of objects; live ones only at a quiet time
	descriptors int
	rss         int64 // bytes
}

// quiet is the phase of samples that are taken when there is no load, every
// connection but the channels has ended, and garbage is collected.
const quiet = "quiet"

// measure is one of the figures.
type measure struct {
	name, unit string
	of         func(s sample) float64
	// allowed is how much it may grow from the first quiet samples that are compared
	// to the last. 0 is for what is not judged by that.
	allowed float64
	// most is what it may be under load. It is a few times what it comes to: far less
	// than when each call leaves something behind that ends with its connection, and
	// is not there any more at a quiet time.
	most float64
	// profile is the runtime's, if one tells what has grown.
	profile string
}

func (m *measure) title() string {
	if m.unit == "" {
		return m.name
	}
	return m.name + ", " + m.unit
}

// peak is the highest that there was under load.
func (m *measure) peak(samples []sample) (peak float64) {
	for _, s := range samples {
		if s.phase != quiet {
			peak = max(peak, m.of(s))
		}
	}
	return peak
}

const mebibyte = 1 << 20

var measures = []measure{
	{
		// The same ones exist at every quiet time: those of the listeners, of the
		// channels and of the one connection that asks. A few may be on their way out.
		name: "goroutines", allowed: 4, most: 1500, profile: "goroutine",
		of: func(s sample) float64 { return float64(s.goroutines) },
	},
	{
		// The pools are empty by then. What may still grow is what the runtime keeps of
		// the most goroutines there ever were, some 500 bytes of each, and maps, which
		// keep the size that they once had.
		name: "heap", unit: "MiB", allowed: 0.5, most: 64, profile: "heap",
		of: func(s sample) float64 { return float64(s.heap) / mebibyte },
	},
	{
		name: "descriptors", allowed: 4, most: 500,
		of: func(s sample) float64 { return float64(s.descriptors) },
	},
	{
		// How much it keeps of what it has once had is the runtime's to choose.
		name: "resident memory", unit: "MiB", most: 200,
		of: func(s sample) float64 { return float64(s.rss) / mebibyte },
	},
}

// probe asks quash, and the kernel, what quash holds.
type probe struct {
	pid      int
	adminURL string
	client   *http.Client // one connection, so that it always costs the same
}

func newProbe(q *quash) *probe {
	return &probe{
		pid:      q.cmd.Process.Pid,
		adminURL: q.adminURL,
		client:   &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: patience},
	}
}

func (p *probe) close() { p.client.CloseIdleConnections() }

// profile gets a profile by its name and query.
func (p *probe) profile(ctx context.Context, query string) ([]byte, error) {
	return p.get(ctx, "/debug/pprof/"+query)
}

// get asks quash's admin listener.
func (p *probe) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.adminURL+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask quash for %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err != nil {
		return nil, fmt.Errorf("ask quash for %s: %w", path, err)
	}
	return body, nil
}

// The two ways to ask for the heap: with its garbage, and without.
const (
	heapAsItIs = "heap?debug=1"
	heapOfLive = "heap?debug=1&gc=1"
)

// take measures everything, the heap by one of the two ways.
func (p *probe) take(ctx context.Context, heapQuery string) (sample, error) {
	var s sample
	var failures [4]error
	s.goroutines, failures[0] = p.goroutines(ctx)
	s.heap, failures[1] = p.heap(ctx, heapQuery)
	s.descriptors, failures[2] = p.descriptors()
	s.rss, failures[3] = p.rss()
	return s, errors.Join(failures[:]...)
}

func (p *probe) goroutines(ctx context.Context) (int, error) {
	text, err := p.profile(ctx, "goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	n, err := figure(text, goroutineTotal)
	return int(n), err
}

// inFlight is how many revocations are in progress, with their callers or without.
func (p *probe) inFlight(ctx context.Context) (int64, error) {
	text, err := p.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return figure(text, inFlight)
}

func (p *probe) heap(ctx context.Context, query string) (int64, error) {
	text, err := p.profile(ctx, query)
	if err != nil {
		return 0, err
	}
	return figure(text, heapAlloc)
}

// emptyPools has quash collect garbage until its pools are empty and what had
// finalizers is gone, but for the garbage that asking makes.
func (p *probe) emptyPools(ctx context.Context) error {
	for range 3 {
		if _, err := p.profile(ctx, heapOfLive); err != nil {
			return err
		}
	}
	return nil
}

func (p *probe) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.pid), name)
}

func (p *probe) descriptors() (int, error) {
	open, err := os.ReadDir(p.proc("fd"))
	return len(open), err
}

// listDescriptors says what each open descriptor is, one a line.
func (p *probe) listDescriptors() ([]byte, error) {
	open, err := os.ReadDir(p.proc("fd"))
	if err != nil {
		return nil, err
	}
	var list bytes.Buffer
	for _, fd := range open {
		target, err := os.Readlink(filepath.Join(p.proc("fd"), fd.Name()))
		if err != nil {
			target = "(closed meanwhile)"
		}
		fmt.Fprintln(&list, fd.Name(), target)
	}
	return list.Bytes(), nil
}

func (p *probe) rss() (int64, error) {
	text, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, err
	}
	kibibytes, err := figure(text, vmRSS)
	return kibibytes << 10, err
}

var (
	goroutineTotal = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
	inFlight       = regexp.MustCompile(`(?m)^quash_in_flight(?:\{.*\})? (\d+)$`)
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	vmRSS          = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)
)

// figure finds the number in a text.
func figure(text []byte, pattern *regexp.Regexp) (int64, error) {
	match := pattern.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q is not in what was answered", strings.Trim(pattern.String(), "()"))
	}
	return strconv.ParseInt(string(match[1]), 10, 64)
}
