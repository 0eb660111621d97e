package client_test

import (
	"log"
	"slices"

	"github.com/quashdev/quash/client"
	"github.com/quashdev/quash/internal/quashtest"
)

// exampleQuash is a quash in front of a sandbox. It stands in for testing.TB, which examples
// do not have.
type exampleQuash struct {
	*quashtest.Quash

	cleanups []func()
}

func startQuash() *exampleQuash {
	quash := &exampleQuash{}
	quash.Quash = quashtest.Start(quash)
	return quash
}

// newClient returns a client of this quash.
func (q *exampleQuash) newClient() *client.Client {
	c, err := client.New(q.Addr, client.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	q.Cleanup(func() { _ = c.Close() })
	return c
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
