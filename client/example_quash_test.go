package client_test

import (
	"log"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/sandbox"
)

// exampleQuash is a quash in front of a sandbox, for examples, which have no testing.TB.
type exampleQuash struct {
	*quashtest.Quash

	cleanups []func()
}

func startQuash() *exampleQuash {
	quash := &exampleQuash{}
	quash.Quash = quashtest.Start(quash)
	return quash
}

// limitRate has SlashID answer 429 from now on.
func (q *exampleQuash) limitRate(pause time.Duration) {
	seconds := strconv.Itoa(int(pause.Seconds()))
	err := q.Sandbox.Script(sandbox.Fault{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": seconds}, Count: 10})
	if err != nil {
		log.Fatal(err)
	}
}

// Stop stops quash and its sandbox.
func (q *exampleQuash) Stop() {
	for _, cleanup := range slices.Backward(q.cleanups) {
		cleanup()
	}
}

// Helper implements sandbox.TB.
func (*exampleQuash) Helper() {}

// Cleanup implements sandbox.TB.
func (q *exampleQuash) Cleanup(f func()) { q.cleanups = append(q.cleanups, f) }

// Fatalf implements sandbox.TB.
func (*exampleQuash) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }
