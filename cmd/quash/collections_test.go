package main

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/quashdev/quash/internal/proctest"
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

// A quash that keeps little lets its heap grow further than Go does by itself, unless GOGC
// is set.
func TestGrowthOfAProcess(t *testing.T) {
	t.Parallel()
	for environment, expected := range map[string]string{
		"GOGC=":   `(?m)^go_gc_gogc_percent (1[1-9]\d|[2-9]\d\d)$`,
		"GOGC=60": `(?m)^go_gc_gogc_percent 60$`,
	} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			p, addrs := startServer(t, []string{environment}, "dev", "--sandbox-addr", "127.0.0.1:0")
			re := regexp.MustCompile(expected)
			for begun := time.Now(); time.Since(begun) < patience; {
				get(t, "http://"+addrs.Admin+"/debug/pprof/heap?gc=1")
				// How far it may grow is set some time after a collection.
				if re.MatchString(get(t, "http://"+addrs.Admin+"/metrics")) {
					return
				}
			}
			t.Errorf("no %s in the metrics\n%s", expected, p)
		})
	}
}

// startServer runs quash with arguments, on free ports, until the test ends.
func startServer(t *testing.T, environment []string, args ...string) (*proctest.Process, proctest.Addrs) {
	t.Helper()
	args = append(args, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	p, addrs, err := proctest.Serve("quash", append(environment, gorace), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p, addrs
}

func get(t *testing.T, url string) string {
	t.Helper()
	_, text, err := exchange(nil, []string{http.MethodGet, url})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
