package server_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

// A connection that its client has made in reserve is let go at once, whatever else
// is in progress.
func TestShutdownClosesUnusedConnections(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) {
		// Less than net/http would wait: the call is cut off then.
		cfg.DrainTimeout = 4 * time.Second
	})
	unused, err := net.Dial("tcp", f.addrs.HTTP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	overREST := beginDropIn(t, f)
	<-upstream.asked
	stopped := begin(f.stop)
	_, _ = io.ReadAll(unused) // until it is closed
	close(upstream.free)
	if got := <-overREST; got != http.StatusNoContent {
		t.Errorf("the call that was in progress got %d, want 204", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}
