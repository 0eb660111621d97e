package main

import (
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		kept uint64
		want int
	}{
		{0, 400},      // nothing is known yet
		{1 * mb, 400}, // no further than that: what is kept may be more by now
		{4 * mb, 400},
		{6 * mb, 300}, // 18 more
		{7 * mb, 225}, // in steps
		{12 * mb, 100},
		{13 * mb, 100}, // Go's own, from here on
		{24 * mb, 100},
		{25 * mb, 100},
		{1 << 40, 100},
	} {
		if got := growth(tt.kept); got != tt.want {
			t.Errorf("with %d bytes kept the heap may grow by %d %%, want %d %%", tt.kept, got, tt.want)
		}
	}
}

// A quash that keeps little lets its heap grow further than Go does by itself. Whoever sets
// GOGC gets what they have set.
func TestGrowthOfAProcess(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environment string
		expected    *regexp.Regexp
	}{
		"by itself":    {"GOGC=", regexp.MustCompile(`(?m)^go_gc_gogc_percent (1[1-9]\d|[2-9]\d\d)$`)},
		"as it is set": {"GOGC=60", regexp.MustCompile(`(?m)^go_gc_gogc_percent 60$`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess([]string{
				"quash", "dev", "--sandbox-addr", "127.0.0.1:0",
				"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
			})
			p.cmd.Env = append(os.Environ(), tt.environment)
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.kill)
			addrs, err := p.awaitServing()
			if err != nil {
				t.Fatal(err)
			}
			d := &observedDev{process: p, addrs: addrs}
			admin := "http://" + addrs["ADMIN"]
			for begun := time.Now(); time.Since(begun) < patience; {
				d.send(t, http.MethodGet, admin+"/debug/pprof/heap?gc=1", nil, "")
				// How far it may grow is set some time after a collection.
				if tt.expected.MatchString(d.send(t, http.MethodGet, admin+"/metrics", nil, "")) {
					return
				}
			}
			t.Errorf("no %s in the metrics", tt.expected)
		})
	}
}
