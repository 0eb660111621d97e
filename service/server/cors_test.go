package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

const appOrigin = "https://app.example.com"

func withOrigins(origins ...string) func(*service.Config, *server.Config) {
	return func(_ *service.Config, cfg *server.Config) { cfg.CORSAllowedOrigins = origins }
}

// preflight is what a browser asks before it sends a page's request. Browsers write
// the names of headers in small letters, in order.
func preflight(origin, method, headers string) http.Header {
	return http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {method},
		"Access-Control-Request-Headers": {headers},
	}
}

func corsHeaders(resp *http.Response) []string {
	var names []string
	for name := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

const allHeaders = "authorization,content-type,slashid-api-key,slashid-orgid,slashid-required-consistency," +
	"slashid-required-consistency-timeout,slashid-sdkversion,traceparent,tracestate"

func TestPreflight(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), withOrigins(appOrigin, "http://localhost:3000"))
	for _, path := range []string{nativePath, dropInPath} {
		for _, origin := range []string{appOrigin, "http://localhost:3000"} {
			resp, body := f.ask(t, http.MethodOptions, path, preflight(origin, "POST", allHeaders))
			if resp.StatusCode != http.StatusNoContent || len(body) > 0 {
				t.Errorf("%s from %s: %s, %q", path, origin, resp.Status, body)
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":      origin,
				"Access-Control-Allow-Methods":     "POST",
				"Access-Control-Allow-Headers":     allHeaders,
				"Access-Control-Max-Age":           "7200",
				"Access-Control-Allow-Credentials": "",
				"Vary":                             "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s from %s: %s: %q, want %q", path, origin, name, got, want)
				}
			}
		}
	}
}

func TestPreflightThatIsRefused(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), withOrigins(appOrigin))
	for name, header := range map[string]http.Header{
		"another origin":        preflight("https://evil.example.com", "POST", "content-type"),
		"another scheme":        preflight("http://app.example.com", "POST", "content-type"),
		"another port":          preflight(appOrigin+":8443", "POST", "content-type"),
		"a longer name":         preflight(appOrigin+".evil.example", "POST", "content-type"),
		"no origin in special":  preflight("null", "POST", "content-type"),
		"another method":        preflight(appOrigin, "DELETE", "content-type"),
		"another header":        preflight(appOrigin, "POST", "content-type,x-token"),
		"any header":            preflight(appOrigin, "POST", "*"),
		"two origins":           {"Origin": {appOrigin, "https://secret.secret.secret"}, "Access-Control-Request-Method": {"POST"}},
		"a method and another":  {"Origin": {appOrigin}, "Access-Control-Request-Method": {"POST", "secret.secret.secret"}},
		"many headers":          preflight(appOrigin, "POST", strings.Repeat("content-type,", 2000)),
		"a method of no method": {"Origin": {appOrigin}},
	} {
		resp, body := f.ask(t, http.MethodOptions, dropInPath, header)
		if got := resp.Header.Get("Access-Control-Allow-Methods") + resp.Header.Get("Access-Control-Allow-Headers"); got != "" {
			t.Errorf("%s: %s, %q", name, resp.Status, got)
		}
		for name, values := range resp.Header {
			if strings.Contains(strings.Join(values, ",")+string(body), "secret") {
				t.Errorf("%s repeats what it was asked", name)
			}
		}
	}
}

// Without the flag nothing is said of origins, and OPTIONS is a method like others.
func TestNoCORSUnlessAskedFor(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	resp, _ := f.ask(t, http.MethodOptions, dropInPath, preflight(appOrigin, "POST", "content-type"))
	if resp.StatusCode != http.StatusMethodNotAllowed || len(corsHeaders(resp)) > 0 {
		t.Errorf("a preflight: %s, %v", resp.Status, resp.Header)
	}
	resp, _ = f.post(t, dropInPath, http.Header{"Origin": {appOrigin}}, []byte(`{"token":"a.b.c"}`))
	if resp.StatusCode != http.StatusNoContent || len(corsHeaders(resp)) > 0 {
		t.Errorf("a call: %s, %v", resp.Status, resp.Header)
	}
}

// A page may read every answer of a door, the refusals of net/http's own apart.
func TestAnswersThatPagesMayRead(t *testing.T) {
	t.Parallel()
	f := startFacade(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
		return slashid.Result{Status: http.StatusRequestTimeout, Envelope: true, Sent: true, CorrelationID: "7f0c"}
	}), withOrigins(appOrigin))
	for name, tt := range map[string]struct {
		path, contentType, body string
		want                    int
	}{
		"408":                   {dropInPath, "application/json", `{"token":"a.b.c"}`, http.StatusRequestTimeout},
		"504":                   {nativePath, "application/json", `{"token":"a.b.c"}`, http.StatusGatewayTimeout},
		"a rule that is broken": {dropInPath, "application/json", `{}`, http.StatusBadRequest},
		"another type":          {nativePath, "text/plain", `{}`, http.StatusUnsupportedMediaType},
		"a body too large":      {nativePath, "application/json", strings.Repeat(" ", 1<<17), http.StatusRequestEntityTooLarge},
		"another path":          {"/v1/tokens", "application/json", `{}`, http.StatusNotFound},
	} {
		resp, _ := f.post(t, tt.path, http.Header{"Origin": {appOrigin}, "Content-Type": {tt.contentType}}, []byte(tt.body))
		if resp.StatusCode != tt.want || resp.Header.Get("Access-Control-Allow-Origin") != appOrigin || resp.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: %s, %v", name, resp.Status, resp.Header)
		}
		exposed := strings.Split(resp.Header.Get("Access-Control-Expose-Headers"), ", ")
		for _, header := range []string{"Slashid-Correlation-Id", "Retry-After", "Quash-Error-Reason", "Quash-Revocation-State"} {
			if !slices.Contains(exposed, header) {
				t.Errorf("%s: %s is not exposed", name, header)
			}
		}
		resp, _ = f.post(t, tt.path, http.Header{"Origin": {"https://evil.example.com"}, "Content-Type": {tt.contentType}}, []byte(tt.body))
		if resp.StatusCode != tt.want || len(corsHeaders(resp)) > 0 {
			t.Errorf("%s, for another origin: %s, %v", name, resp.Status, resp.Header)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{
		appOrigin, "http://localhost:3000", "http://127.0.0.1:8080", "https://[::1]:8443", "https://xn--bcher-kva.example", "https://app.example.com:444",
	} {
		if err := server.CheckOrigin(origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for origin, want := range map[string]string{
		"":                              "needs http:// or https:// and a host",
		"*":                             "pages that nobody knows",
		"null":                          "pages that nobody knows",
		"app.example.com":               "needs http://",
		"localhost:3000":                "needs http://",
		"https://":                      "needs http://",
		"https://:443":                  "needs http://",
		"file:///etc":                   "needs http://",
		"ftp://app.example.com":         "needs http://",
		"https://*.example.com":         "must name one host",
		"https://app.example.com/":      "and nothing else",
		"https://app.example.com/login": "and nothing else",
		"https://app.example.com?":      "and nothing else",
		"https://app.example.com#":      "and nothing else",
		"https://me@app.example.com":    "and nothing else",
		"HTTPS://app.example.com":       "small letters",
		"https://App.example.com":       "small letters",
		"https://bücher.example":        "in ASCII",
		"https://app.example.com:443":   "leave that port out",
		"http://app.example.com:80":     "leave that port out",
		"https://app.example.com:":      "leave that port out",
		"https://a.example,https://b.x": "and nothing else",
		" https://app.example.com":      "needs http",
		"https://app.example.com ":      "needs http",
		"https://app.example.com:x":     "needs http",
	} {
		if err := server.CheckOrigin(origin); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", origin, err, want)
		}
	}
}
