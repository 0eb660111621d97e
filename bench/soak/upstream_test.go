package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/quashdev/quash/sandbox"
)

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere most of 127.0.0.0/8 are no addresses of this machine's")
	}
	u, err := newUpstream(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		u.Close()
		if err := u.down(); err != nil {
			t.Error(err)
		}
	})
	return u
}

// newClient trusts u as quash does.
func newClient(t *testing.T, u *upstream) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(u.authority()) {
		t.Fatal("the authority is no PEM")
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// statusOf asks u to revoke nothing at all.
func statusOf(ctx context.Context, client *http.Client, u *upstream) (status int, protocol string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url()+dropInPath, bytes.NewReader([]byte("{}")))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Slashid-Api-Key", sandbox.DefaultAPIKey)
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Proto, nil
}

func TestUpstreamGoesAndComesBack(t *testing.T) {
	t.Parallel()
	u := startUpstream(t)
	client := newClient(t, u)
	url := u.url()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/1.1"} {
		status, got, err := statusOf(t.Context(), client, u)
		if err != nil || status != http.StatusBadRequest || got != protocol {
			t.Fatalf("%d %s %v, want 400 over %s", status, got, err, protocol)
		}
		if err := u.down(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := statusOf(t.Context(), client, u); err == nil {
			t.Fatal("it answers while it is down")
		}
		if err := u.up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := u.swap(t.Context()); err != nil {
			t.Fatal(err)
		}
		if u.url() != url {
			t.Fatalf("it moved from %s to %s", url, u.url())
		}
	}
}

// A phase begins its fault, keeps its script going, and leaves nothing behind.
func TestPhasePasses(t *testing.T) {
	t.Parallel()
	for i := range phases {
		p := &phases[i]
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			u := startUpstream(t)
			during := make(chan struct{})
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			begin := p.begin
			watched := *p
			watched.begin = func(ctx context.Context, u *upstream) error {
				defer close(during)
				if begin == nil {
					return nil
				}
				return begin(ctx, u)
			}
			go func() { ended <- watched.pass(ctx, u, time.Hour) }()
			<-during
			if cut := slices.ContainsFunc(u.Regions(), func(r sandbox.Region) bool { return r.Partitioned }); cut != (p.name == "partition") {
				t.Errorf("partitioned: %t", cut)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if left := u.Faults(); len(left) > 0 {
				t.Errorf("%d faults are left", len(left))
			}
			if slices.ContainsFunc(u.Regions(), func(r sandbox.Region) bool { return r.Partitioned }) {
				t.Error("a region is still cut off")
			}
			if status, _, err := statusOf(t.Context(), newClient(t, u), u); err != nil || status != http.StatusBadRequest {
				t.Errorf("afterwards: %d %v", status, err)
			}
		})
	}
}

// What the scripts hold is accepted by the sandbox, and their failures are fewer
// than what opens the breaker.
func TestScripts(t *testing.T) {
	t.Parallel()
	for i := range phases {
		failing, all := 0, 0
		for _, f := range phases[i].script {
			n := max(f.Count, 1)
			all += n
			if f.Reset || f.Status >= 500 || f.Delay >= stall {
				failing += n
			}
		}
		if 2*failing >= all && all > 0 {
			t.Errorf("%s: %d of %d calls fail", phases[i].name, failing, all)
		}
		s, err := sandbox.New(sandbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(phases[i].script...); err != nil {
			t.Errorf("%s: %v", phases[i].name, err)
		}
	}
}
