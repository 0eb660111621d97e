package slashid_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

// fickle is a server that revokes tokens, and fails in all the ways that there are. What
// it does to a request is a matter of chance, but each time the same.
type fickle struct {
	mu      sync.Mutex
	arrived map[string]int
	conns   map[net.Conn]bool
}

// ServeHTTP implements http.Handler.
func (f *fickle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	token := tokenIn(body)
	f.mu.Lock()
	f.arrived[token]++
	random := randomOf(token, f.arrived[token])
	f.mu.Unlock()
	switch random.IntN(12) {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
	case 3, 4:
		select {
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	case 5:
		f.closeOne()
		w.WriteHeader(http.StatusNoContent)
	case 6:
		if random.IntN(8) == 0 { // not often: net/http may wait for a second before it sends again
			w.Header().Set("Connection", "close") // over HTTP/2, the connection goes away
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func randomOf(text string, n int) *rand.Rand {
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%s %d", text, n))
	return rand.New(rand.NewChaCha8(seed))
}

// closeOne closes some connection.
func (f *fickle) closeOne() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		_ = conn.Close()
		delete(f.conns, conn)
		return
	}
}

// watch notes the connections of a server that has not started.
func (f *fickle) watch(server *httptest.Server) {
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch state {
		case http.StateNew:
			f.conns[conn] = true
		case http.StateClosed, http.StateHijacked:
			delete(f.conns, conn)
		default:
		}
	}
}

// However connections, requests and callers end, what a result says is true: a request
// that was not sent never arrives, and one that was sent once never arrives twice.
func TestResultsAreTrueInAStorm(t *testing.T) {
	t.Parallel()
	const (
		workers  = 20
		requests = 20 // of each worker
	)
	for protocol, start := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			f := &fickle{arrived: map[string]int{}, conns: map[net.Conn]bool{}}
			server := startServerAs(t, f.ServeHTTP, func(server *httptest.Server) {
				f.watch(server)
				start(server)
			})
			client := newClient(t, server.URL)
			var results [workers][requests]slashid.Result
			var working sync.WaitGroup
			for w := range workers {
				working.Go(func() {
					for n := range requests {
						results[w][n] = attemptInAStorm(t, client, storm(w, n))
					}
				})
			}
			working.Wait()
			client.Close()
			server.CloseClientConnections()
			server.Close() // no request arrives after this
			f.mu.Lock()
			defer f.mu.Unlock()
			ends := map[string]int{}
			for w := range workers {
				for n, got := range results[w] {
					token := storm(w, n)
					arrived := f.arrived[token]
					switch {
					case arrived > slashid.MaxSends,
						arrived > 0 && !got.Sent,
						arrived > 1 && !got.Resent,
						arrived != 1 && got.Status == http.StatusNoContent && !got.Resent,
						arrived < 1 && got.Status != 0,
						(got.Status == 0) != (got.Err != nil),
						got.Resent && !got.Sent:
						t.Errorf("%s arrived %d times: %+v", token, arrived, got)
					}
					ends[fmt.Sprintf("%d, sent %t, resent %t", got.Status, got.Sent, got.Resent)]++
				}
			}
			t.Log(ends)
			if ends["204, sent true, resent false"] == 0 || ends["0, sent true, resent false"] == 0 {
				t.Errorf("there was no storm: %v", ends)
			}
		})
	}
}

func storm(worker, n int) string { return fmt.Sprintf("token-%d-%d", worker, n) }

// attemptInAStorm attempts to revoke a token, for a caller that may leave early.
func attemptInAStorm(t *testing.T, client *slashid.Client, token string) slashid.Result {
	t.Helper()
	random := randomOf(token, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := aRequest()
	req.Token = slashid.NewSecret(token)
	switch random.IntN(10) {
	case 0:
		time.AfterFunc(time.Duration(random.IntN(2000))*time.Microsecond, cancel)
	case 1:
		req.BeforeSend = func() bool { go cancel(); return true }
	case 2:
		req.BeforeSend = func() bool { return false }
	case 3:
		req.NewConnection = random.IntN(10) == 0
	}
	return client.Revoke(ctx, req)
}
