package main

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// answeringQuash is a quash whose answers a test decides.
type answeringQuash struct {
	quashv1.UnimplementedTokenServiceServer

	answer func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error)
}

func (q answeringQuash) Revoke(_ context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	return q.answer(req)
}

// startAnswering starts an answeringQuash, and returns its address.
func startAnswering(t *testing.T, answer func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	quashv1.RegisterTokenServiceServer(server, answeringQuash{answer: answer})
	go func() { _ = server.Serve(listener) }() // until Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// ended is the exit code and the output of quash revoke.
type ended struct {
	code           int
	stdout, stderr string
}

// revoke runs quash revoke.
func revoke(t *testing.T, stdin string, args ...string) ended {
	t.Helper()
	var stdout, stderr strings.Builder
	code := run(t.Context(), append([]string{"revoke"}, args...), streams{in: strings.NewReader(stdin), out: &stdout, err: &stderr})
	return ended{code, stdout.String(), stderr.String()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill writes text to a file.
func fill(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}
