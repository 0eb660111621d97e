package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Profiles do not name what clients called, whatever the environment asks of grpc-go:
// the name is a client's, and may hold a token.
func TestProfilesNameNoMethod(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(upstream.Close)
	p := newProcess([]string{
		"quash", "serve", "--upstream-url", upstream.URL,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	})
	p.cmd.Env = append(os.Environ(), "GRPC_GO_SERVER_GOROUTINE_LABELS=all")
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	addrs, err := p.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(addrs["GRPC"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := quashv1.NewTokenServiceClient(conn).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		answered <- err
	}()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("SlashID is not asked")
	}
	d := &observedDev{process: p, addrs: addrs}
	profile := d.send(t, http.MethodGet, "http://"+addrs["ADMIN"]+"/debug/pprof/goroutine?debug=1", nil, "")
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if !strings.Contains(profile, "(*TokenService).Revoke") {
		t.Errorf("the call is not in the profile:\n%s", profile)
	}
	if strings.Contains(profile, "grpc.method") {
		t.Errorf("the profile names methods:\n%s", profile)
	}
}
