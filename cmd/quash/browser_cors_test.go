package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// fetched is what a script learns of an answer.
type fetched struct {
	// Error is set where the browser kept the answer to itself.
	Error string

	Status                                int
	CorrelationID, Reason, State, Message string
	RetryAfter                            string
}

// servePage serves a page of an origin of its own.
func servePage(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>app</title>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// fetch has the page call quash with every header that SlashID's contract knows.
func (p *tab) fetch(t *testing.T, url, token string, headers map[string]string) fetched {
	t.Helper()
	var extra strings.Builder
	for name, value := range headers {
		fmt.Fprintf(&extra, "%q: %q,", name, value)
	}
	return evaluate[fetched](t, p, fmt.Sprintf(`(async () => {
		try {
			const answer = await fetch(%q, {
				method: "POST",
				headers: {
					"Content-Type": "application/json",
					"SlashID-SdkVersion": "1.4.1",
					"SlashID-OrgID": "org",
					"SlashID-API-Key": "key",
					"Authorization": "Bearer user.token",
					"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
					%s
				},
				body: JSON.stringify({ token: %q }),
			});
			const text = await answer.text();
			const header = (name) => answer.headers.get(name) ?? "";
			return {
				Error: "",
				Status: answer.status,
				CorrelationID: header("slashid-correlation-id"),
				Reason: header("quash-error-reason"),
				State: header("quash-revocation-state"),
				RetryAfter: header("retry-after"),
				Message: text && (JSON.parse(text).errors?.[0].message ?? ""),
			};
		} catch (error) {
			return { Error: String(error), Status: 0, CorrelationID: "", Reason: "", State: "", RetryAfter: "", Message: "" };
		}
	})()`, url, extra.String(), token))
}

// A page of an allowed origin calls the doors, and reads what they say, refusals and
// SlashID's 408 included.
func TestAllowedOriginInABrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	origin := servePage(t)
	quash := startDev(t, "--cors-allowed-origin", "https://app.example.com", "--cors-allowed-origin", origin)
	p.do(t, chromedp.Navigate(origin))
	dropIn, native := quash.url+paths[doorDropIn], quash.url+paths[doorNative]

	token := quash.mint(t)
	got := p.fetch(t, dropIn, token, nil)
	if got.Status != http.StatusNoContent || got.CorrelationID == "" {
		t.Errorf("a token that lives: %+v", got)
	}
	got = p.fetch(t, dropIn, token, nil)
	if got.Status != http.StatusBadRequest || got.Reason != "TOKEN_REJECTED" || got.State != "NOT_APPLIED" || got.CorrelationID == "" {
		t.Errorf("a token that is dead: %+v", got)
	}
	got = p.fetch(t, dropIn, token, map[string]string{"SlashID-Required-Consistency": "everywhere"})
	if got.Status != http.StatusBadRequest || got.Reason != "INVALID_REQUEST" || !strings.Contains(got.Message, "must be local_region or all_regions") {
		t.Errorf("a header that is wrong: %+v", got)
	}
	if got = p.fetch(t, native, quash.mint(t), nil); got.Status != http.StatusOK || got.CorrelationID == "" {
		t.Errorf("the native door: %+v", got)
	}
	quash.ask(t, http.MethodPost, "/_sandbox/faults", `{"status":429,"headers":{"Retry-After":"77"},"count":1}`)
	if got = p.fetch(t, dropIn, quash.mint(t), nil); got.Status != http.StatusTooManyRequests || got.RetryAfter != "77" {
		t.Errorf("SlashID's 429: %+v", got)
	}
	quash.ask(t, http.MethodPut, "/_sandbox/regions/ap-south", `{"lag":"1h"}`)
	got = p.fetch(t, dropIn, quash.mint(t), map[string]string{
		"SlashID-Required-Consistency":         "all_regions",
		"SlashID-Required-Consistency-Timeout": "1",
	})
	if got.Status != http.StatusRequestTimeout || got.State != "IN_PROGRESS" || got.CorrelationID == "" {
		t.Errorf("SlashID's 408: %+v", got)
	}
}

// A page of another origin is kept out by its browser, and its request is not sent.
func TestOtherOriginInABrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	quash := startDev(t, "--cors-allowed-origin", "https://app.example.com")
	p.do(t, chromedp.Navigate(servePage(t)))
	token := quash.mint(t)
	for _, path := range paths {
		if got := p.fetch(t, quash.url+path, token, nil); !strings.Contains(got.Error, "Failed to fetch") {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if revocations := string(quash.ask(t, http.MethodGet, "/_sandbox/revocations", "")); strings.Contains(revocations, `"jti"`) {
		t.Errorf("the token was revoked: %s", revocations)
	}
}
