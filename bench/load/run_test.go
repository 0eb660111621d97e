package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// recordedPlan is what the reports in testdata were recorded with.
func recordedPlan(t *testing.T, consistency string) plan {
	t.Helper()
	p, err := newPlan(settings{calls: 4, concurrency: 2, consistency: consistency})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every way for a run to end, from the tokens to the verdict, with another program in
// the place of ghz.
func TestCall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ghz, consistency string
		want             string // of the error or the verdict
	}{
		{"honest-ghz", "local_region", ""},
		{"honest-ghz", "all_regions", ""},
		{"honest-ghz", "mixed", ""},
		{"lying-ghz", "local_region", "4 calls were OK, but only 3 tokens are dead where they were to be"},
		{"lying-ghz", "all_regions", "4 calls were OK, but only 3 tokens are dead where they were to be"},
		{"hasty-ghz", "mixed", "OK number 1 came at "},
		{"lazy-ghz", "local_region", "ghz made 3 calls and reports 4, not 4"},
		{"broken-ghz", "local_region", errNoReport.Error()},
		{"failing-ghz", "local_region", "ghz: exit status 1"},
	} {
		t.Run(test.ghz+", "+test.consistency, func(t *testing.T) {
			t.Parallel()
			s := sandbox.Start(t, sandbox.Config{ReplicationLag: time.Millisecond})
			result, err := call(t.Context(), recordedPlan(t, test.consistency), install(t, test.ghz), strings.TrimPrefix(s.URL, "http://"), sandboxURL(s.URL))
			if err == nil {
				err = result.verdict
			}
			if got := errorText(err); got != test.want && (test.want == "" || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A region that lags keeps tokens alive that the local region has revoked already. What
// was local is true by then; what was to be everywhere is not.
func TestCallWhileARegionIsCutOff(t *testing.T) {
	t.Parallel()
	for consistency, want := range map[string]string{
		"local_region": "",
		"all_regions":  "4 calls were OK, but only 0 tokens are dead where they were to be",
		"mixed":        "4 calls were OK, but only 2 tokens are dead where they were to be",
	} {
		s := sandbox.Start(t, sandbox.Config{})
		regions := s.Regions()
		if err := s.SetRegion(regions[len(regions)-1].Name, sandbox.RegionSettings{Partitioned: true}); err != nil {
			t.Fatal(err)
		}
		tokens, err := sandboxURL(s.URL).mint(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			if err := revoke(strings.TrimPrefix(s.URL, "http://"), &quashv1.RevokeRequest{Token: token.text, Consistency: local, Timeout: durationpb.New(time.Minute)}); err != nil {
				t.Fatal(err)
			}
		}
		deaths, err := sandboxURL(s.URL).deaths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		report := recorded(t, "ok.json")
		for _, d := range report["details"].([]any) {
			d.(map[string]any)["timestamp"] = time.Now()
		}
		if got := errorText(recordedPlan(t, consistency).checkTruth(read(t, report), tokens, deaths)); got != want {
			t.Errorf("%s: got %q, want %q", consistency, got, want)
		}
	}
}

// patience is far longer than anything here takes.
const patience = 30 * time.Second

// A run that is interrupted ends ghz too.
func TestCallInterrupted(t *testing.T) {
	t.Parallel()
	s := sandbox.Start(t, sandbox.Config{})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	revoked := make(chan struct{}, 4)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		revoked <- struct{}{}
	}))
	defer front.Close()
	go func() {
		for range 4 {
			<-revoked
		}
		interrupt()
	}()
	p, ghz := recordedPlan(t, "local_region"), install(t, "endless-ghz")
	ended := make(chan error, 1)
	go func() {
		_, err := call(ctx, p, ghz, strings.TrimPrefix(front.URL, "http://"), sandboxURL(s.URL))
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil || ctx.Err() == nil {
			t.Errorf("got %v before the interrupt", err)
		}
	case <-time.After(patience):
		t.Error("ghz goes on after the interrupt")
	}
}
