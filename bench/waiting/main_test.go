package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseCalls(t *testing.T) {
	t.Parallel()
	if got, err := parseCalls("1,5000,10000"); err != nil || !slices.Equal(got, []int{1, 5000, 10000}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "0", "-1", "10001", "1,", "many", "1, 2"} {
		if got, err := parseCalls(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		pattern *regexp.Regexp
		want    int64
	}{
		{"VmPeak:\t  900 kB\nVmRSS:\t   1234 kB\n", vmRSS, 1234},
		{"# Sys = 1\n# HeapAlloc = 567\n# HeapSys = 8\n", heapAlloc, 567},
		{"goroutine profile: total 89\n1 @ 0x1\n", goroutineTotal, 89},
	} {
		if got, err := figure([]byte(c.text), c.pattern); err != nil || got != c.want {
			t.Errorf("%s: got %d, %v, want %d", c.pattern, got, err, c.want)
		}
	}
	if got, err := figure([]byte("nothing"), vmRSS); err == nil {
		t.Errorf("nothing has figure %d", got)
	}
}

// Nothing answers while calls are counted in, and all of them are let go.
func TestUpstreamHolds(t *testing.T) {
	t.Parallel()
	u, err := newUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(u.authority)
	// Called without a quash in between, it is HTTP/2, and an answer that is no quash's.
	c := &overREST{&http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}, ForceAttemptHTTP2: true}, u.url}
	defer c.Close()
	const n = begin + 1 // the last of them only once there is room
	onTheWay, answers := make(chan struct{}, begin), make(chan error, n)
	go makeCalls(t.Context(), c, n, onTheWay, answers)
	if err := u.await(t.Context(), n, onTheWay, answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != 0 {
		t.Error("a call had an answer before the upstream was released")
	}
	u.release()
	for range n {
		select {
		case err := <-answers:
			if err == nil || err.Error() != "status 204" {
				t.Fatalf("got %v, want the upstream's 204", err)
			}
		case <-time.After(patience):
			t.Fatal("a call has no answer after the upstream was released")
		}
	}
}
