package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever is not the answer that is due is an error.
func TestOverREST(t *testing.T) {
	t.Parallel()
	revoked := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"outcome":"OUTCOME_REVOKED"}`)) }
	for name, c := range map[string]struct {
		door   door
		answer http.HandlerFunc
		good   bool
	}{
		"drop-in":        {doorDropIn, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, true},
		"native":         {doorNative, revoked, true},
		"another status": {doorDropIn, revoked, false},
		"another outcome": {doorNative, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"outcome":"OUTCOME_ALREADY_INVALID"}`))
		}, false},
		"the end": {doorDropIn, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusNoContent)
		}, false},
		"a connection that is lost": {doorDropIn, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
	} {
		server := httptest.NewServer(c.answer)
		defer server.Close()
		caller, err := c.door.open(t.Context(), addrs{HTTP: strings.TrimPrefix(server.URL, "http://")}, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer caller.Close()
		for worker := range 2 {
			if err := caller.call(t.Context(), worker, "a.b.c"); (err == nil) != c.good {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A call that is never answered ends with its context.
func TestOverRESTWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-ended
	}))
	defer server.Close()
	defer close(ended)
	caller, err := doorDropIn.open(ctx, addrs{HTTP: strings.TrimPrefix(server.URL, "http://")}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := caller.call(ctx, 0, "a.b.c"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_ = caller.Close()
}

func TestDoorsThatAreClosed(t *testing.T) {
	t.Parallel()
	l, err := listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	if c, err := doorNative.open(t.Context(), addrs{HTTP: addr}, 1); err == nil {
		_ = c.Close()
		t.Error("nobody is there, and REST opens")
	}
	c, err := doorGRPC.open(t.Context(), addrs{GRPC: addr}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.call(t.Context(), 0, "a.b.c"); err == nil {
		t.Error("nobody is there, and a call succeeds")
	}
}
