package slashid_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

// randomOf returns what chance has in store for the nth time that something happens to a
// token: each time the same.
func randomOf(token string, n int) *rand.Rand {
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%s %d", token, n))
	return rand.New(rand.NewChaCha8(seed))
}

// fickle revokes tokens, and fails in all the ways that there are.
func fickle(w http.ResponseWriter, r *http.Request, random *rand.Rand) {
	switch random.IntN(10) {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
			return
		}
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 3, 4:
		select {
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		case <-r.Context().Done():
		}
	case 5:
		if random.IntN(6) == 0 { // not often: net/http may wait for a second before it sends again
			w.Header().Set("Connection", "close") // over HTTP/2, the connection goes away
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// However connections, requests and callers end, what a result says is true: a request
// that was not sent never arrives, and one that was sent once never arrives twice.
func TestResultsAreTrueInAStorm(t *testing.T) {
	t.Parallel()
	const workers, requests = 20, 20
	for _, protocol := range append(protocols, "") {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			arrived, results := map[string]int{}, map[string]slashid.Result{}
			server := startServer(t, protocol, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				token := tokenIn(body)
				if !strings.HasPrefix(token, "token-") {
					return // it did not arrive whole
				}
				mu.Lock()
				arrived[token]++
				random := randomOf(token, arrived[token])
				mu.Unlock()
				fickle(w, r, random)
			})
			client := newClient(t, server.URL)
			var working sync.WaitGroup
			for w := range workers {
				working.Go(func() {
					for n := range requests {
						token := fmt.Sprintf("token-%d-%d", w, n)
						result := attemptInAStorm(t, client, token)
						mu.Lock()
						results[token] = result
						mu.Unlock()
					}
				})
			}
			working.Wait()
			client.Close()
			server.CloseClientConnections()
			server.Close() // no request arrives after this
			mu.Lock()
			defer mu.Unlock()
			ends := map[string]int{}
			for token, got := range results {
				n := arrived[token]
				switch {
				case n > slashid.MaxSends,
					n > 0 && !got.Sent,
					n > 1 && !got.Resent,
					n != 1 && got.Status == http.StatusNoContent && !got.Resent,
					n < 1 && got.Status != 0,
					(got.Status == 0) != (got.Err != nil),
					got.Resent && !got.Sent:
					t.Errorf("%s arrived %d times: %+v", token, n, got)
				}
				ends[fmt.Sprintf("%d, sent %t, resent %t", got.Status, got.Sent, got.Resent)]++
			}
			if ends["204, sent true, resent false"] == 0 || ends["0, sent true, resent false"] == 0 {
				t.Errorf("there was no storm: %v", ends)
			}
		})
	}
}

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
