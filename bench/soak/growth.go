package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

// held is what quash holds in a quiet phase: the figures that limits names.
type held [3]float64

// limits are how much each figure may grow in a run.
var limits = [len(held{})]struct {
	name    string
	allowed float64
}{
	// The same goroutines exist in every quiet phase: those of the listeners and of the
	// connection that asks. A few may be about to end.
	{"goroutines", 4},
	{"descriptors", 4},
	// The pools are empty by then. What may grow is what the runtime keeps of the most
	// goroutines there ever were, and maps, which keep their size.
	{"heap, MiB", 0.5},
}

// growth returns a table, and what has grown by more than it may. The samples are of quiet
// phases; there is no load between the last two. Each end is the lower of two samples, so
// that one bad moment, which only adds, is not taken for growth and does not hide it. A
// leak adds to every sample after it.
func growth(warmUp int, samples []held) (table string, err error) {
	t := measure.NewTable("in quiet phases", "after warm-up", "at the end", "growth allowed")
	n := len(samples)
	if n < warmUp+2 {
		return t.String(), errors.New("the run was too short to tell growth")
	}
	for i, limit := range limits {
		from, to := min(samples[warmUp][i], samples[warmUp+1][i]), min(samples[n-2][i], samples[n-1][i])
		t.Add(limit.name, fmt.Sprintf("%.4g", from), fmt.Sprintf("%.4g", to), fmt.Sprintf("%g", limit.allowed))
		if to-from > limit.allowed {
			err = errors.Join(err, fmt.Errorf("%s grew from %.4g to %.4g, by more than %g", limit.name, from, to, limit.allowed))
		}
	}
	return t.String(), err
}

// probe asks quash, and the kernel, what quash holds. It leaves the pages that it read last
// in a folder: the profiles are for go tool pprof.
type probe struct {
	pid    int
	admin  string
	out    string
	client *http.Client // one connection, so that it always costs the same
}

func newProbe(pid int, admin, out string) *probe {
	return &probe{pid, "http://" + admin, out, &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: patience}}
}

var (
	goroutineTotal = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	inFlight       = regexp.MustCompile(`(?m)^quash_in_flight(?:\{.*\})? (\d+)$`)
)

// number asks quash's admin listener for a page, and finds a number in it.
func (p *probe) number(ctx context.Context, page, query string, pattern *regexp.Regexp) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.admin+page+query, nil)
	if err != nil {
		return 0, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	match := pattern.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%s of quash has no match for %#q", page, pattern)
	}
	if err := os.WriteFile(filepath.Join(p.out, path.Base(page)+".txt"), text, 0o600); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(match[1]), 64)
}

// settle waits until nothing is in flight, and goroutines and descriptors have stayed the
// same for a second; or, if they never do, for 20 s.
func (p *probe) settle(ctx context.Context) error {
	last := held{}
	for same, looks := 0, 0; same < 10 && looks < 200; looks++ {
		pending, err := p.number(ctx, "/metrics", "", inFlight)
		if err != nil {
			return err
		}
		now, err := p.count(ctx)
		if err != nil {
			return err
		}
		same++
		if now != last || pending > 0 {
			same, last = 0, now
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// count leaves the heap out.
func (p *probe) count(ctx context.Context) (h held, err error) {
	if h[0], err = p.number(ctx, "/debug/pprof/goroutine", "?debug=1", goroutineTotal); err != nil {
		return h, err
	}
	usage, err := measure.Process(p.pid)
	h[1] = float64(usage.Descriptors)
	return h, err
}

// sample measures after garbage collection, several times: pools, and what has
// finalizers, survive the first.
func (p *probe) sample(ctx context.Context) (h held, err error) {
	var bytes float64
	for range 4 {
		if bytes, err = p.number(ctx, "/debug/pprof/heap", "?debug=1&gc=1", heapAlloc); err != nil {
			return h, err
		}
	}
	h, err = p.count(ctx)
	h[2] = bytes / (1 << 20)
	return h, err
}
