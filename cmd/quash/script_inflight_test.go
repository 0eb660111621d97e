package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// slowUpstream holds calls until release, and then answers them with 204.
type slowUpstream struct {
	reached chan struct{}
	release func()
}

func slow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: slow VAR")
	}
	reached, released := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached <- struct{}{}
		<-released
		w.WriteHeader(http.StatusNoContent)
	}))
	release := sync.OnceFunc(func() { close(released) })
	ts.Defer(func() {
		release()
		server.Close()
	})
	sceneOf(ts).upstreams[args[0]] = slowUpstream{reached, release}
	ts.Setenv(args[0], server.URL)
}

func reached(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: reached VAR")
	}
	select {
	case <-sceneOf(ts).upstreams[args[0]].reached:
	case <-time.After(patience):
		ts.Fatalf("no call has reached %s", args[0])
	}
}

func release(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: release VAR")
	}
	sceneOf(ts).upstreams[args[0]].release()
}

// pendingCall is an HTTP call in flight.
type pendingCall struct {
	done chan struct{} // closed when text and err are set
	text string
	err  error
}

func begin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "http" {
		ts.Fatalf("usage: begin NAME http …")
	}
	secure, rest := tlsOptions(ts, args[2:])
	call := &pendingCall{done: make(chan struct{})}
	sceneOf(ts).calls[args[0]] = call
	go func() {
		defer close(call.done)
		_, call.text, call.err = request(secure, rest)
	}()
}

func answered(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] answered NAME")
	}
	call := sceneOf(ts).calls[args[0]]
	<-call.done // request has its own timeout
	switch {
	case neg && call.err == nil:
		ts.Fatalf("it was answered:\n%s", call.text)
	case !neg:
		ts.Check(call.err)
		fmt.Fprint(ts.Stdout(), call.text)
	}
}
