package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

// sample is what quash holds in a quiet phase.
type sample struct {
	goroutines  float64
	heap        float64 // MiB of live objects
	descriptors float64
}

// measures are the figures of a sample, and how much each may grow in a run.
var measures = []struct {
	name    string
	of      func(s sample) float64
	allowed float64
}{
	// The same goroutines exist in every quiet phase: those of the listeners, of the
	// channels and of the connection that asks. A few may be about to end.
	{"goroutines", func(s sample) float64 { return s.goroutines }, 4},
	// The pools are empty by then. What may grow is what the runtime keeps of the most
	// goroutines there ever were, and maps, which keep their size.
	{"heap, MiB", func(s sample) float64 { return s.heap }, 0.5},
	{"descriptors", func(s sample) float64 { return s.descriptors }, 4},
}

// growth returns the first and the last value of a measure. The samples are of quiet
// phases; there is no load between the last two. Each end is the lower of two samples, so
// that one bad moment, which only adds, is not taken for growth and does not hide it. A
// leak adds to every sample after it.
func growth(warmUp int, samples []sample, of func(sample) float64) (from, to float64) {
	if len(samples) <= warmUp+1 {
		return 0, 0
	}
	compared := samples[warmUp:]
	n := len(compared)
	return min(of(compared[0]), of(compared[1])), min(of(compared[n-2]), of(compared[n-1]))
}

// grown returns what has grown by more than it may.
func grown(warmUp int, samples []sample) error {
	var failures []error
	for _, m := range measures {
		if from, to := growth(warmUp, samples, m.of); to-from > m.allowed {
			failures = append(failures, fmt.Errorf("%s grew from %.4g to %.4g, by more than %.4g", m.name, from, to, m.allowed))
		}
	}
	return errors.Join(failures...)
}

func growthTable(warmUp int, samples []sample) string {
	t := measure.NewTable("in quiet phases", "after warm-up", "at the end", "growth allowed")
	for _, m := range measures {
		from, to := growth(warmUp, samples, m.of)
		t.Add(m.name, fmt.Sprintf("%.4g", from), fmt.Sprintf("%.4g", to), fmt.Sprintf("%g", m.allowed))
	}
	return t.String()
}

// probe asks quash, and the kernel, what quash holds.
type probe struct {
	pid    int
	admin  string
	client *http.Transport // one connection, so that it always costs the same
}

func newProbe(pid int, admin string) *probe {
	return &probe{pid, "http://" + admin, &http.Transport{MaxConnsPerHost: 1}}
}

func (p *probe) close() { p.client.CloseIdleConnections() }

// get asks quash's admin listener.
func (p *probe) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask quash for %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New("the status is " + resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("ask quash for %s: %w", path, err)
	}
	return body, nil
}

// number asks for a page, and finds a number in it.
func (p *probe) number(ctx context.Context, path string, pattern *regexp.Regexp) (float64, error) {
	text, err := p.get(ctx, path)
	if err != nil {
		return 0, err
	}
	match := pattern.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%s of quash has no match for %#q", path, pattern)
	}
	return strconv.ParseFloat(string(match[1]), 64)
}

var (
	goroutineTotal = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	inFlight       = regexp.MustCompile(`(?m)^quash_in_flight(?:\{.*\})? (\d+)$`)
)

const (
	settleLimit = 20 * time.Second
	settleLook  = 100 * time.Millisecond
)

// settle waits until nothing is in flight, and goroutines and descriptors have stayed the
// same for a second.
func (p *probe) settle(ctx context.Context) error {
	same, last := 0, sample{}
	for limit := time.Now().Add(settleLimit); same < 10 && time.Now().Before(limit); pause(ctx, settleLook) {
		pending, err := p.number(ctx, "/metrics", inFlight)
		if err != nil {
			return err
		}
		now, err := p.counts(ctx)
		if err != nil {
			return err
		}
		same++
		if now != last || pending > 0 {
			same, last = 0, now
		}
	}
	return nil
}

// counts leaves the heap out.
func (p *probe) counts(ctx context.Context) (s sample, err error) {
	if s.goroutines, err = p.number(ctx, "/debug/pprof/goroutine?debug=1", goroutineTotal); err != nil {
		return s, err
	}
	usage, err := measure.Process(p.pid)
	s.descriptors = float64(usage.Descriptors)
	return s, err
}

// sample measures after garbage collection, several times: pools, and what has
// finalizers, survive the first.
func (p *probe) sample(ctx context.Context) (s sample, err error) {
	var bytes float64
	for range 4 {
		if bytes, err = p.number(ctx, "/debug/pprof/heap?debug=1&gc=1", heapAlloc); err != nil {
			return s, err
		}
	}
	s, err = p.counts(ctx)
	s.heap = bytes / (1 << 20)
	return s, err
}

// saveProfiles writes what quash holds, for go tool pprof.
func (p *probe) saveProfiles(ctx context.Context, dir string) error {
	for _, name := range []string{"goroutine", "heap"} {
		profile, err := p.get(ctx, "/debug/pprof/"+name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, name+".pb.gz")
		if err := os.WriteFile(path, profile, 0o644); err != nil { //nolint:gosec // holds no secret
			return err
		}
		fmt.Printf("saved %s\n", path)
	}
	return nil
}
