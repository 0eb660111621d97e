package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
)

// sample is what quash has at one time.
type sample struct {
	resident   int64 // bytes, as the kernel counts them against a limit
	heap       int64 // bytes of live objects
	goroutines int64
}

var (
	vmRSS          = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	goroutineTotal = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
)

// measure takes a sample. Resident memory comes first: collecting garbage, which the
// heap needs, would make it smaller than it is in operation.
func (q *quash) measure(ctx context.Context) (s sample, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", q.cmd.Process.Pid))
	if err != nil {
		return s, err
	}
	kibibytes, err := figure(status, vmRSS)
	if err != nil {
		return s, err
	}
	s.resident = kibibytes << 10
	if s.goroutines, err = q.profile(ctx, "goroutine?debug=1", goroutineTotal); err != nil {
		return s, err
	}
	s.heap, err = q.profile(ctx, "heap?debug=1&gc=1", heapAlloc)
	return s, err
}

// profile asks for a profile, and finds a figure in it.
func (q *quash) profile(ctx context.Context, query string, pattern *regexp.Regexp) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+q.admin+"/debug/pprof/"+query, nil)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return figure(text, pattern)
}

// figure finds the number in a text.
func figure(text []byte, pattern *regexp.Regexp) (int64, error) {
	match := pattern.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q is not in what was answered", pattern)
	}
	return strconv.ParseInt(string(match[1]), 10, 64)
}
