package client_test

import (
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service/server"
)

// exampleQuash is a quash in front of a sandbox, for examples, which have no testing.TB.
type exampleQuash struct {
	*quashtest.Quash

	cleanups []func()
}

func startQuash(configure ...func(*server.Config)) *exampleQuash {
	quash := &exampleQuash{}
	quash.Quash = quashtest.Start(quash, configure...)
	return quash
}

// startQuashWithTLS returns a quash with the certificate of quash.example.org, and the
// directory of the files that its callers need.
func startQuashWithTLS() (*exampleQuash, string) {
	dir, err := os.MkdirTemp("", "quash-example-")
	if err != nil {
		log.Fatal(err)
	}
	ca := pkitest.NewCA("authority")
	quash := startQuash(withTLS(ca))
	quash.Cleanup(func() { _ = os.RemoveAll(dir) })
	newFiles(quash, dir, ca)
	return quash, dir
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
