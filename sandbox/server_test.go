package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestStartServesUntilTheTestEnds(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	get := func(url string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/_sandbox/regions", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}

	tb := &recordingTB{}
	server := Start(tb, Config{})
	if !strings.HasPrefix(server.URL, "http://127.0.0.1:") {
		t.Errorf("URL %q", server.URL)
	}
	if err := get(server.URL); err != nil {
		t.Error(err)
	}
	tb.end()
	if err := get(server.URL); err == nil {
		t.Error("it still serves after the test")
	}
	if !isClosed(server.closed) {
		t.Error("the sandbox is not closed after the test")
	}
	if tb.failure != "" {
		t.Error(tb.failure)
	}
}

func TestStartFailsTheTest(t *testing.T) {
	t.Parallel()
	tb := &recordingTB{}
	func() {
		defer func() { _ = recover() }()
		Start(tb, Config{Regions: []string{"?"}})
	}()
	if !strings.Contains(tb.failure, `region "?"`) {
		t.Errorf("failed with %q", tb.failure)
	}
}

// recordingTB is a test that this test can see failing and ending.
type recordingTB struct {
	cleanups []func()
	failure  string
}

func (tb *recordingTB) Helper() {}

func (tb *recordingTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }

func (tb *recordingTB) Fatalf(format string, args ...any) {
	tb.failure = fmt.Sprintf(format, args...)
	panic(tb.failure) // as testing.T does, it does not return
}

func (tb *recordingTB) end() {
	for _, cleanup := range slices.Backward(tb.cleanups) {
		cleanup()
	}
}
