package sandbox

import (
	"fmt"
	"net/http"
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

	var server *Server
	t.Run("inner test", func(t *testing.T) {
		server = Start(t, Config{})
		if !strings.HasPrefix(server.URL, "http://127.0.0.1:") {
			t.Errorf("URL %q", server.URL)
		}
		if err := get(server.URL); err != nil {
			t.Error(err)
		}
	})
	if err := get(server.URL); err == nil {
		t.Error("it still serves after the test")
	}
	if !isClosed(server.closed) {
		t.Error("the sandbox is not closed after the test")
	}
}

func TestStartFailsTheTest(t *testing.T) {
	t.Parallel()
	tb := &fatalTB{}
	func() {
		defer func() { _ = recover() }()
		Start(tb, Config{Regions: []string{"?"}})
	}()
	if !strings.Contains(tb.message, `region "?"`) {
		t.Errorf("failed with %q", tb.message)
	}
}

// fatalTB keeps what Fatalf was told, and stops the test as Fatalf does.
type fatalTB struct {
	TB
	message string
}

func (*fatalTB) Helper() {}

func (tb *fatalTB) Fatalf(format string, args ...any) {
	tb.message = fmt.Sprintf(format, args...)
	panic(tb.message)
}
