package slashid_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

// received counts how often each token has come.
type received struct {
	mu     sync.Mutex
	tokens map[string]int
}

func (r *received) add(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[token]++
}

// fickle answers requests, and at random goes away in one of the ways that there are.
func fickle(p *framePeer, got *received, limit int) {
	random := rand.New(rand.NewPCG(uint64(p.number), 0))
	if !p.greet(streams(uint32(limit))) {
		return
	}
	for {
		stream, token := p.request()
		if stream == 0 {
			return
		}
		got.add(token)
		time.AfterFunc(time.Duration(random.IntN(20))*time.Millisecond, func() { p.aside().revoked(stream) })
		switch random.IntN(40) {
		case 0:
			return // closes
		case 1: // finishes what it has
			_ = p.WriteGoAway(stream, http2.ErrCodeNo, nil)
			p.drain()
			return
		case 2: // disowns some of it
			_ = p.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
			_ = p.WriteGoAway(stream-2, http2.ErrCodeNo, nil)
			p.drain()
			return
		case 3:
			_ = p.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		case 4:
			_ = p.WriteSettings(streams(1), http2.Setting{ID: http2.SettingInitialWindowSize, Val: random.Uint32N(100)})
			_ = p.WriteSettings(streams(uint32(limit)), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		}
	}
}

// Whatever becomes of connections, each request ends, none comes twice, and what is said
// of it is true.
func TestNothingIsLostAndNothingComesTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, storm)
}

func storm(t *testing.T) {
	t.Helper()
	const (
		workers  = 60
		requests = 50 // a worker
		limit    = 10
	)
	got := &received{tokens: map[string]int{}}
	client, peer := newFramePeer(t, func(p *framePeer) { fickle(p, got, limit) })
	var working sync.WaitGroup
	kinds := make([]map[slashid.Kind]int, workers)
	for w := range workers {
		kinds[w] = map[slashid.Kind]int{}
		working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for n := range requests {
				req := aRequest()
				token := fmt.Sprintf("token-%d-%d", w, n)
				req.Token = slashid.NewSecret(token)
				a := client.Begin(t.Context(), req)
				if random.IntN(20) == 0 {
					a.GiveUp(slashid.Cancelled)
				}
				<-a.Done()
				result := a.Result()
				kinds[w][result.Kind]++
				got.mu.Lock()
				times := got.tokens[token]
				got.mu.Unlock()
				switch {
				case times > 1, times > 0 && !result.Sent, times != 1 && result.Kind == slashid.Revoked:
					t.Errorf("%s came %d times: %+v", token, times, result)
				}
			}
		})
	}
	working.Wait()
	all := map[slashid.Kind]int{}
	for _, one := range kinds {
		for kind, n := range one {
			all[kind] += n
		}
	}
	t.Logf("%v on %d connections", all, peer.connections())
	if all[slashid.Revoked] < workers*requests/2 || all[slashid.ConnectionLost] == 0 {
		t.Errorf("the storm is none: %v", all)
	}
	client.Close()
	peer.close()
	for token, times := range got.tokens {
		if times != 1 {
			t.Errorf("%s came %d times", token, times)
		}
	}
	wantNoLoad(t, client)
}
