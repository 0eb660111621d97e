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

// held is a measurement of quash in a quiet phase: the figures that limits names.
type held [3]float64

// limits are the maximum growth of each figure in a run.
var limits = [len(held{})]struct {
	name    string
	allowed float64
}{
	// Every quiet phase has the same goroutines: those of the listeners and of the probe's
	// connection. A few others may be about to end.
	{"goroutines", 4},
	{"descriptors", 4},
	// Pools are empty in a quiet phase. The allowance is for the runtime, which keeps
	// memory for the highest number of goroutines so far, and for maps, which never shrink.
	{"heap, MiB", 0.5},
}

// growth returns a table, and an error for each figure that has grown beyond its limit. The
// samples are from quiet phases, with no load between the last two. The start and the end of
// the comparison are each the lower of two samples: a disturbance raises one sample only, so it
// neither looks like growth nor hides it, while a leak raises every later sample.
func growth(warmUp int, samples []held) (table string, err error) {
	t := measure.NewTable("in quiet phases", "after warm-up", "at the end", "growth allowed")
	n := len(samples)
	if n < warmUp+2 {
		return t.String(), errors.New("the run was too short to measure growth")
	}
	for i, limit := range limits {
		from, to := min(samples[warmUp][i], samples[warmUp+1][i]), min(samples[n-2][i], samples[n-1][i])
		t.Add(limit.name, fmt.Sprintf("%.4g", from), fmt.Sprintf("%.4g", to), fmt.Sprintf("%g", limit.allowed))
		if to-from > limit.allowed {
			err = errors.Join(err, fmt.Errorf("%s grew from %.4g to %.4g, more than the allowed %g", limit.name, from, to, limit.allowed))
		}
	}
	return t.String(), err
}

// probe measures quash through its admin listener and /proc. It saves the last version of each
// page in the directory out, for go tool pprof.
type probe struct {
	pid    int
	admin  string
	out    string
	client *http.Client // one connection, so that its cost is constant
}

func newProbe(pid int, admin, out string) *probe {
	return &probe{pid, "http://" + admin, out, &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: patience}}
}

var (
	goroutineTotal = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	inFlight       = regexp.MustCompile(`(?m)^quash_in_flight(?:\{.*\})? (\d+)$`)
)

// number requests a page of quash's admin listener and returns the number that pattern finds.
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
		return 0, fmt.Errorf("quash's %s has no match for %#q", page, pattern)
	}
	if err := os.WriteFile(filepath.Join(p.out, path.Base(page)+".txt"), text, 0o600); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(match[1]), 64)
}

// settle waits until nothing is in flight and the numbers of goroutines and descriptors have
// been constant for a second, but at most about 20 s.
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

// count measures goroutines and descriptors, without the heap.
func (p *probe) count(ctx context.Context) (h held, err error) {
	if h[0], err = p.number(ctx, "/debug/pprof/goroutine", "?debug=1", goroutineTotal); err != nil {
		return h, err
	}
	usage, err := measure.Process(p.pid)
	h[1] = float64(usage.Descriptors)
	return h, err
}

// sample measures all figures. It collects garbage several times before, because pools and
// objects with finalizers survive the first collection.
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
