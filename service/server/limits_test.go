package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// lifetimes are connections over each transport. The client reconnects automatically, and
// fails the test if a call is lost.
var lifetimes = []struct {
	name   string
	secure bool
	client func(t *testing.T, m *inMemory) (call func())
}{
	{"gRPC", false, func(t *testing.T, m *inMemory) func() {
		client := quashv1.NewTokenServiceClient(m.dialGRPC(t, grpc.WithIdleTimeout(0)))
		return func() {
			if _, err := client.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(2 * time.Minute)}); err != nil {
				t.Error(err)
			}
		}
	}},
	{"HTTP/1.1", false, callsREST},
	{"HTTP/2", true, callsREST},
}

func callsREST(t *testing.T, m *inMemory) func() {
	client := m.dialREST(t)
	return func() {
		resp, err := client.Post(m.url(nativePath), jsonType, strings.NewReader(`{"token":"a","timeout":"120s"}`))
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			t.Errorf("%s %s", resp.Status, text)
		}
	}
}

// A connection that is too old, or idle for too long, takes no more calls. The client
// reconnects without losing a call.
func TestConnectionLifetimes(t *testing.T) {
	t.Parallel()
	for _, tt := range lifetimes {
		t.Run(tt.name+", age", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := serveInMemory(t, 0, slowly, Limits{ConnectionAge: time.Hour}, tt.secure)
				call := tt.client(t, m)
				begun := time.Now()
				for time.Since(begun) < 50*time.Minute { // for gRPC the age is 10 % more or less
					call()
				}
				expectDials(t, m, 1)
				for time.Since(begun) < 70*time.Minute {
					call()
				}
				expectDials(t, m, 2)
			})
		})
		t.Run(tt.name+", idle", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := serveInMemory(t, 0, slowly, Limits{IdleTimeout: 10 * time.Minute, ConnectionAge: 24 * time.Hour}, tt.secure)
				call := tt.client(t, m)
				for range 5 {
					call()
					time.Sleep(9 * time.Minute)
				}
				expectDials(t, m, 1)
				time.Sleep(2 * time.Minute)
				call()
				expectDials(t, m, 2)
			})
		})
	}
}

func expectDials(t *testing.T, m *inMemory, want int32) {
	t.Helper()
	if got := m.dials.Load(); got != want {
		t.Errorf("%d connections, want %d", got, want)
	}
}
