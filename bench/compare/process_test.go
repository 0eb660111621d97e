package main

import (
	"bufio"
	"context"
	"strings"
	"testing"
)

func TestReadAddrs(t *testing.T) {
	t.Parallel()
	const log = "no JSON\n" + `{"msg":"configuration"}` + "\n" + `{"msg":"serving","grpc":"a:1","http":"b:2","admin":"c:3"}` + "\n" + "more\n"
	got, err := readAddrs(bufio.NewReader(strings.NewReader(log)))
	if err != nil || got.GRPC != "a:1" || got.HTTP != "b:2" || got.Admin != "c:3" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := readAddrs(bufio.NewReader(strings.NewReader("no such flag\n"))); err == nil || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("of a process that did not start it says %v", err)
	}
}

// A process that ends at once is an error that says why, and not waited for.
func TestStartFails(t *testing.T) {
	t.Parallel()
	s := newTestSetup(t)
	if _, err := start(t.Context(), s.child("nobody")); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(cancelled, s.child("nothing")); err == nil {
		t.Error("a run that is over starts a process")
	}
}

func TestProcessEndsWithContext(t *testing.T) {
	t.Parallel()
	s := newTestSetup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := start(ctx, s.child("nothing"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-p.ended
	p.stop() // is no harm
}
