package server

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Of the requests, each named after its connection and its number there, the
// longest of a connection that has its share makes place for a new one.
func TestArrivalsBeyondTheNumber(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begun    string
		givenUp  string
		limit    int
		finished string // before the last one
	}{
		"none below the number":               {"a1 a2 a3", "", 3, ""},
		"the longest of one connection":       {"a1 a2 a3 a4 a5", "a1 a2", 3, ""},
		"the longest of equal connections":    {"a1 b1 c1 d1", "a1", 3, ""},
		"not the longest of a modest one":     {"a1 b1 b2 b3", "b1", 3, ""},
		"nor a modest one that is new":        {"a1 a2 a3 b1 a4 a5 a6 a7", "a1 a2 a3 a4 a5", 3, ""},
		"a modest one loses to as modest one": {"a1 b1 b2 c1 d1 e1", "b1 a1 b2", 3, ""},
		"none where one is over":              {"a1 a2 a3 a4", "", 3, "a2"},
		"nor that one later":                  {"a1 a2 a3 a4 a5", "a2", 3, "a1"},
		"one place":                           {"a1 b1 b2", "a1 b1", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := newArrivals(Limits{Arriving: tt.limit, TransferTimeout: time.Hour})
			var givenUp []string
			begun := map[string]*arrival{}
			for i, request := range strings.Fields(tt.begun) {
				if i == tt.limit && tt.finished != "" {
					begun[tt.finished].over()
				}
				begun[request] = all.begin(request[:1], func() { givenUp = append(givenUp, request) })
			}
			if got := strings.Join(givenUp, " "); got != tt.givenUp {
				t.Errorf("given up %q, want %q", got, tt.givenUp)
			}
			want := len(begun) - len(givenUp) - len(strings.Fields(tt.finished))
			if got := all.pending.Len(); got != want {
				t.Errorf("%d are on their way, want %d", got, want)
			}
			for _, r := range begun {
				r.over()
			}
			expectNone(t, all)
		})
	}
}

func expectNone(t *testing.T, all *arrivals) {
	t.Helper()
	if all.pending.Len() != 0 || len(all.connections) != 0 {
		t.Errorf("%d are on their way over %d connections when all are over", all.pending.Len(), len(all.connections))
	}
}

func TestArrivalsBeyondTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := newArrivals(Limits{Arriving: 10, TransferTimeout: time.Minute})
		begun := time.Now()
		var late atomic.Int64
		givenUp := func() { late.Store(int64(time.Since(begun))) }
		all.begin("a", givenUp)
		inTime := all.begin("a", func() { t.Error("a request is given up that was in time") })
		time.Sleep(time.Minute - time.Second)
		inTime.over()
		synctest.Wait()
		if got := late.Load(); got != 0 {
			t.Errorf("a request is given up after %s", time.Duration(got))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := time.Duration(late.Load()); got != time.Minute {
			t.Errorf("a request that does not come is given up after %s (0s: never)", got)
		}
		expectNone(t, all)
	})
}

// What is over is not given up, and what is given up is over: neither by the
// number nor by the time, and not twice.
func TestArrivalsEndOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := newArrivals(Limits{Arriving: 1, TransferTimeout: time.Minute})
		over := all.begin("a", func() { t.Error("a request is given up that was over") })
		over.over()
		over.over()
		times := 0
		first := all.begin("a", func() { times++ })
		second := all.begin("a", func() {})
		first.over()
		first.over()
		if all.pending.Len() != 1 {
			t.Error("what was given up and is over then takes another one with it")
		}
		second.over()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if times != 1 {
			t.Errorf("given up %d times", times)
		}
		expectNone(t, all)
	})
}

func TestArrivalsAtOnce(t *testing.T) {
	t.Parallel()
	const connections, requests, limit = 16, 500, 20
	all := newArrivals(Limits{Arriving: limit, TransferTimeout: time.Microsecond})
	var givenUp, most atomic.Int64
	var on sync.WaitGroup
	for connection := range connections {
		on.Go(func() {
			for range requests {
				var isOver, times atomic.Int64
				r := all.begin(connection, func() {
					givenUp.Add(1)
					if times.Add(1) > 1 || isOver.Load() > 0 {
						t.Error("given up twice, or when it was over")
					}
				})
				all.mu.Lock()
				most.Store(max(most.Load(), int64(all.pending.Len())))
				all.mu.Unlock()
				if connection%2 == 0 {
					r.over()
					isOver.Store(1)
				}
			}
		})
	}
	on.Wait()
	all.mu.Lock()
	for place := all.pending.Front(); place != nil; place = all.pending.Front() {
		place.Value.(*arrival).leave()
	}
	expectNone(t, all)
	all.mu.Unlock()
	if most.Load() > limit {
		t.Errorf("%d were on their way at once, want at most %d", most.Load(), limit)
	}
	if givenUp.Load() == 0 {
		t.Error("none was given up")
	}
}

// openCall sends the header of a call, and no message.
func openCall(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, quashv1.TokenService_Revoke_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// complete sends the message of a call, and waits for the answer.
func complete(stream grpc.ClientStream) error {
	// Where the call is over, RecvMsg says why.
	_ = stream.SendMsg(&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(2 * time.Minute)})
	_ = stream.CloseSend()
	return stream.RecvMsg(new(quashv1.RevokeResponse))
}

func TestCallWithoutMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serveInMemory(t, 0, slowly, Limits{TransferTimeout: 10 * time.Second}, false).dialGRPC(t)
		begun := time.Now()
		err := openCall(t, conn).RecvMsg(new(quashv1.RevokeResponse))
		if took := time.Since(begun); status.Code(err) != codes.Canceled || took != 10*time.Second {
			t.Errorf("after %s: %v; want Canceled after 10 s", took, err)
		}
		// That is for the message to come, and not for the answer.
		late := openCall(t, conn)
		time.Sleep(9 * time.Second)
		if err := complete(late); err != nil {
			t.Errorf("a call that was in time: %v", err)
		}
	})
}

// A stream has arrived with its first message, and may last.
func TestStreamArrives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serveInMemory(t, 0, revokesAll, Limits{TransferTimeout: time.Minute}, false).dialGRPC(t)
		stream, err := healthv1.NewHealthClient(conn).Watch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := stream.Recv()
			ended <- err
		}()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("it has ended: %v", err)
		default:
		}
	})
}

// A call whose message is a moment behind its header comes through, however many
// calls another client begins meanwhile.
func TestHonestCallBesideMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := serveInMemory(t, 0, revokesAll, Limits{Arriving: 10}, false)
		honest := openCall(t, m.dialGRPC(t))
		synctest.Wait()
		attacker := m.dialGRPC(t)
		var begun []grpc.ClientStream
		for range 200 {
			begun = append(begun, openCall(t, attacker))
		}
		synctest.Wait()
		if err := complete(honest); err != nil {
			t.Errorf("the honest call: %v", err)
		}
		var outcomes []codes.Code
		for _, stream := range begun {
			outcomes = append(outcomes, status.Code(complete(stream)))
		}
		given := len(slices.DeleteFunc(outcomes, func(c codes.Code) bool { return c != codes.Canceled }))
		if given != 191 {
			t.Errorf("%d calls were given up, want all but the last 9", given)
		}
	})
}

// post begins a request whose body the caller writes. answer waits for the answer.
func post(t *testing.T, client *http.Client, url string) (body *io.PipeWriter, answer func() (code int, text string)) {
	t.Helper()
	read, write := io.Pipe()
	t.Cleanup(func() { _ = write.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, read)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	type result struct {
		code int
		text string
	}
	done := make(chan result, 1)
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			done <- result{0, err.Error()}
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		done <- result{resp.StatusCode, string(text)}
	}()
	return write, func() (int, string) {
		r := <-done
		return r.code, r.text
	}
}

func TestBodyBeyondTheNumber(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, path := range []string{nativePath, dropInPath} {
			t.Run(fmt.Sprintf("secure %t %s", secure, path), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := serveInMemory(t, 0, revokesAll, Limits{Arriving: 2, TransferTimeout: time.Hour}, secure)
					begin := func() (*io.PipeWriter, func() (int, string)) {
						body, answer := post(t, m.dialREST(t), m.url(path))
						_, _ = io.WriteString(body, `{"token":`)
						synctest.Wait()
						return body, answer
					}
					_, first := begin()
					second, secondAnswer := begin()
					third, thirdAnswer := begin()
					if code, text := first(); code != http.StatusTooManyRequests || path == nativePath && !strings.Contains(text, "OVERLOADED") {
						t.Errorf("the first: %d %s", code, text)
					}
					for i, body := range []*io.PipeWriter{second, third} {
						_, _ = io.WriteString(body, `"a"}`)
						_ = body.Close()
						answer := []func() (int, string){secondAnswer, thirdAnswer}[i]
						if code, text := answer(); code != http.StatusOK && code != http.StatusNoContent {
							t.Errorf("the one after %d: %d %s", i, code, text)
						}
					}
				})
			})
		}
	}
}

func TestBodyBeyondTheTime(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure %t", secure), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := serveInMemory(t, 0, slowly, Limits{TransferTimeout: 10 * time.Second}, secure)
				begun := time.Now()
				_, answer := post(t, m.dialREST(t), m.url(nativePath))
				code, text := answer()
				if took := time.Since(begun); code != http.StatusBadRequest || took != 10*time.Second {
					t.Errorf("after %s: %d %s; want 400 after 10 s", took, code, text)
				}
				// That is for the body to come, and not for the answer.
				body, answer := post(t, m.dialREST(t), m.url(nativePath))
				time.Sleep(9 * time.Second)
				_, _ = io.WriteString(body, `{"token":"a","timeout":"120s"}`)
				_ = body.Close()
				if code, text := answer(); code != http.StatusOK {
					t.Errorf("a body that was in time: %d %s", code, text)
				}
			})
		})
	}
}
