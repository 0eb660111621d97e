package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a page in its own Chromium, with a record of its requests and exceptions.
type tab struct {
	ctx context.Context //nolint:containedctx // chromedp identifies a tab by a context

	mu         sync.Mutex
	urls       []string // of its requests
	exceptions []string // of its scripts
}

// openTab starts a browser. It skips the test if no browser is installed.
func openTab(t *testing.T) *tab {
	t.Helper()
	// Ubuntu lets only Chrome use a sandbox, of those that its images have.
	browsers := []string{"google-chrome", "google-chrome-stable", "chromium", "chromium-browser"}
	i := slices.IndexFunc(browsers, func(name string) bool { _, err := exec.LookPath(name); return err == nil })
	if i < 0 {
		t.Skipf("needs a browser: none of %s is installed", strings.Join(browsers, ", "))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browsers[i]),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(2*patience), // a browser starts many processes
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	quiet := log.New(io.Discard, "", 0).Printf // it logs events of newer browsers as errors
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	t.Cleanup(cancel)
	p := &tab{ctx: ctx}
	p.do(t)                                        // starts the browser
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits for the browser to end
	err := chromedp.Listen(ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			p.urls = append(p.urls, event.Request.URL)
		case *runtime.EventExceptionThrown:
			p.exceptions = append(p.exceptions, event.ExceptionDetails.Text)
		}
	})
	if err == nil {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs a script in the page and waits for its promise.
func evaluate[T any](t *testing.T, p *tab, script string) T {
	t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// await waits until the text of an element matches, and returns it.
func (p *tab) await(t *testing.T, selector, pattern string) (text string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(t, fmt.Sprintf("%s shows %#q", selector, pattern), func() bool {
		text = evaluate[string](t, p, fmt.Sprintf(`Promise.resolve(document.querySelector(%q)?.innerText ?? "")`, selector))
		return re.MatchString(text)
	})
	return text
}

// The page at /docs revokes a token over each REST route. A second revocation is rejected.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	q := dev(t, nil)
	p.do(t, chromedp.Navigate(q.url()+"/docs"))
	var tokens []string
	for _, tt := range []struct{ operation, success, outcome string }{
		{"revoke", "^200 OK$", "REVOKED"},
		{"revokeBySlashIDContract", "^204 No Content$", "The token is dead"},
	} {
		token := q.mint(t)
		tokens = append(tokens, token)
		card := "#" + tt.operation
		input := card + ` input[name="token"]`
		p.do(t, chromedp.SendKeys(input, token), chromedp.Click(card+" button"))
		attributes, err := chromedp.Run(p.ctx, chromedp.Attributes(input))
		if err != nil || attributes["type"] != "password" || attributes["autocomplete"] != "off" {
			t.Errorf("%s: the field of the token is %q, %v", tt.operation, attributes, err)
		}
		p.await(t, card+" .status", tt.success)
		p.await(t, card+" .answer", tt.outcome)
		p.await(t, card+" .headers", "slashid-correlation-id\n+[0-9a-f-]{36}")
		p.do(t, chromedp.Click(card+" button"))
		p.await(t, card+" .status", "^400 Bad Request$")
		p.await(t, card+" .said", "^TOKEN_REJECTED · NOT_APPLIED$")
		p.await(t, card+" pre", "already revoked")
	}
	if kept := evaluate[int](t, p, `Promise.resolve(localStorage.length + sessionStorage.length + document.cookie.length)`); kept > 0 {
		t.Error("the page stores something")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, url := range p.urls {
		if !strings.HasPrefix(url, q.url()+"/") && url != "data:," && !strings.HasPrefix(url, "about:") {
			t.Errorf("the page sent a request to another host: %s", url)
		}
		if slices.ContainsFunc(tokens, func(token string) bool { return strings.Contains(url, token) }) {
			t.Error("a token is in a URL")
		}
	}
	if len(p.exceptions) > 0 {
		t.Errorf("%q", p.exceptions)
	}
}

// The page sends the values of its fields, and shows errors and unfinished revocations.
// Chromium would automatically retry a call that gets a 408 on a reused connection.
func TestDocsShowFailures(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	q := dev(t, nil)
	for _, region := range []string{"eu-west", "ap-south"} {
		q.control(t, http.MethodPut, "regions/"+region, `{"lag":"1h"}`)
	}
	p.do(t,
		chromedp.Navigate(q.url()+"/docs"),
		chromedp.SetValue(`#revoke select[name="consistency"]`, "CONSISTENCY_ALL_REGIONS"),
		chromedp.SendKeys(`#revoke input[name="timeout"]`, "121s"),
		chromedp.Click("#revoke button"))
	p.await(t, "#revoke .status", "^400 Bad Request$")
	p.await(t, "#revoke .said", "^INVALID_REQUEST · NOT_APPLIED$")
	p.await(t, "#revoke pre", `(?s)"field": "token".*"field": "timeout"`)
	p.do(t,
		chromedp.SendKeys(`#revokeBySlashIDContract input[name="token"]`, q.mint(t)),
		chromedp.SetValue(`#revokeBySlashIDContract select[name="SlashID-Required-Consistency"]`, "all_regions"),
		chromedp.SendKeys(`#revokeBySlashIDContract input[name="SlashID-Required-Consistency-Timeout"]`, "1"),
		chromedp.Click("#revokeBySlashIDContract button"))
	p.await(t, "#revokeBySlashIDContract .status", "^408 Request Timeout$")
	p.await(t, "#revokeBySlashIDContract .said", "^CONSISTENCY_TIMEOUT · IN_PROGRESS$")
}

// fetched is the part of an answer that a script can read. Error is set if the browser hides
// the answer.
type fetched struct {
	Error                                             string
	Status                                            int
	CorrelationID, Reason, State, RetryAfter, Message string
}

// fetch makes the page call quash with every header of SlashID's API.
func (p *tab) fetch(t *testing.T, url, token string, header ...string) fetched {
	t.Helper()
	var extra strings.Builder
	for i := 0; i < len(header); i += 2 {
		fmt.Fprintf(&extra, "%q: %q,", header[i], header[i+1])
	}
	return evaluate[fetched](t, p, fmt.Sprintf(`(async () => {
		const got = { Error: "", Status: 0, CorrelationID: "", Reason: "", State: "", RetryAfter: "", Message: "" };
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
			got.Status = answer.status;
			got.CorrelationID = header("slashid-correlation-id");
			got.Reason = header("quash-error-reason");
			got.State = header("quash-revocation-state");
			got.RetryAfter = header("retry-after");
			got.Message = text && (JSON.parse(text).errors?.[0].message ?? "");
		} catch (error) {
			got.Error = String(error);
		}
		return got;
	})()`, url, &extra, token))
}

// servePage serves a page from a separate origin.
func servePage(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>app</title>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A page of an allowed origin calls quash over REST. It can read all answers, including errors
// and SlashID's 408.
func TestAllowedOriginInABrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	origin := servePage(t)
	q := dev(t, nil, "--cors-allowed-origin", "https://app.example.com", "--cors-allowed-origin", origin)
	p.do(t, chromedp.Navigate(origin))
	dropIn, native := q.url()+dropInPath, q.url()+nativePath

	token := q.mint(t)
	got := p.fetch(t, dropIn, token)
	if got.Status != http.StatusNoContent || got.CorrelationID == "" {
		t.Errorf("a valid token: %+v", got)
	}
	got = p.fetch(t, dropIn, token)
	if got.Status != http.StatusBadRequest || got.Reason != "TOKEN_REJECTED" || got.State != "NOT_APPLIED" || got.CorrelationID == "" {
		t.Errorf("a revoked token: %+v", got)
	}
	got = p.fetch(t, dropIn, token, "SlashID-Required-Consistency", "everywhere")
	if got.Status != http.StatusBadRequest || got.Reason != "INVALID_REQUEST" || !strings.Contains(got.Message, "must be local_region or all_regions") {
		t.Errorf("an invalid header: %+v", got)
	}
	if got = p.fetch(t, native, q.mint(t)); got.Status != http.StatusOK || got.CorrelationID == "" {
		t.Errorf("native: %+v", got)
	}
	q.control(t, http.MethodPost, "faults", `{"status":429,"headers":{"Retry-After":"77"},"count":1}`)
	if got = p.fetch(t, dropIn, q.mint(t)); got.Status != http.StatusTooManyRequests || got.RetryAfter != "77" {
		t.Errorf("SlashID's 429: %+v", got)
	}
	q.control(t, http.MethodPut, "regions/ap-south", `{"lag":"1h"}`)
	got = p.fetch(t, dropIn, q.mint(t), "SlashID-Required-Consistency", "all_regions", "SlashID-Required-Consistency-Timeout", "1")
	if got.Status != http.StatusRequestTimeout || got.State != "IN_PROGRESS" || got.CorrelationID == "" {
		t.Errorf("SlashID's 408: %+v", got)
	}
}

// The browser blocks the calls of a page from another origin before it sends them.
func TestOtherOriginInABrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	q := dev(t, nil, "--cors-allowed-origin", "https://app.example.com")
	p.do(t, chromedp.Navigate(servePage(t)))
	token := q.mint(t)
	for _, path := range []string{nativePath, dropInPath} {
		if got := p.fetch(t, q.url()+path, token); !strings.Contains(got.Error, "Failed to fetch") {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if revocations := q.control(t, http.MethodGet, "revocations", ""); strings.Contains(revocations, `"jti"`) {
		t.Errorf("the token was revoked: %s", revocations)
	}
}
