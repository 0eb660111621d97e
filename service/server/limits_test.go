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

// lifetimes are of a connection that a client uses all the time, or not at all.
// Every client comes back by itself, so that dials tell when it had to.
var lifetimes = []struct {
	name   string
	secure bool
	// client returns one that calls, and fails unless it is answered.
	client func(t *testing.T, m *inMemory) func()
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
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s %s", resp.Status, text)
		}
	}
}

// A connection takes no calls once it is too old, and the client comes back over
// another one without losing any.
func TestConnectionAge(t *testing.T) {
	t.Parallel()
	for _, tt := range lifetimes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := serveInMemory(t, 0, slowly, Limits{ConnectionAge: time.Hour}, tt.secure)
				call := tt.client(t, m)
				begun := time.Now()
				for time.Since(begun) < 50*time.Minute { // for gRPC the age is 10 % more or less
					call()
				}
				if got := m.dials.Load(); got != 1 {
					t.Errorf("%d connections in 50 minutes, want 1", got)
				}
				for time.Since(begun) < 70*time.Minute {
					call()
				}
				if got := m.dials.Load(); got != 2 {
					t.Errorf("%d connections in 70 minutes, want 2", got)
				}
			})
		})
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range lifetimes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := serveInMemory(t, 0, slowly, Limits{IdleTimeout: 10 * time.Minute, ConnectionAge: 24 * time.Hour}, tt.secure)
				call := tt.client(t, m)
				for range 5 {
					call()
					time.Sleep(9 * time.Minute)
				}
				if got := m.dials.Load(); got != 1 {
					t.Errorf("%d connections for a call every ten minutes, want 1", got)
				}
				time.Sleep(2 * time.Minute)
				call()
				if got := m.dials.Load(); got != 2 {
					t.Errorf("%d connections once there was no call for 11 minutes, want 2", got)
				}
			})
		})
	}
}
