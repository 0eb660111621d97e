package server_test

import (
	"context"
	"net/http"
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

// preflight returns the headers of a preflight request. Browsers send the header names in
// lower case, in order.
func preflight(origin, method, headers string) http.Header {
	return http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {method},
		"Access-Control-Request-Headers": {headers},
	}
}

// corsHeaders returns the CORS headers of a response as text.
func corsHeaders(resp *http.Response) string {
	header := http.Header{}
	for name, values := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			header[name] = values
		}
	}
	var text strings.Builder
	_ = header.Write(&text)
	return strings.ReplaceAll(text.String(), "\r\n", "\n")
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), withOrigins(appOrigin, "http://localhost:3000"))
	const allHeaders = "authorization,content-type,slashid-api-key,slashid-orgid,slashid-required-consistency," +
		"slashid-required-consistency-timeout,slashid-sdkversion,traceparent,tracestate"
	for _, path := range []string{nativePath, dropInPath} {
		for _, origin := range []string{appOrigin, "http://localhost:3000"} {
			resp, body := f.ask(t, http.MethodOptions, path, preflight(origin, "POST", allHeaders))
			want := "Access-Control-Allow-Headers: " + allHeaders + "\nAccess-Control-Allow-Methods: POST\n" +
				"Access-Control-Allow-Origin: " + origin + "\nAccess-Control-Max-Age: 7200\n"
			if got := corsHeaders(resp); resp.StatusCode != http.StatusNoContent || len(body) > 0 || got != want {
				t.Errorf("%s from %s: %s, %s", path, origin, resp.Status, got)
			}
			if got := resp.Header.Get("Vary"); got != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" {
				t.Errorf("Vary: %s", got)
			}
		}
	}
	for name, header := range map[string]http.Header{
		"another origin":       preflight("https://evil.example.com", "POST", "content-type"),
		"another scheme":       preflight("http://app.example.com", "POST", "content-type"),
		"another port":         preflight(appOrigin+":8443", "POST", "content-type"),
		"a longer name":        preflight(appOrigin+".evil.example", "POST", "content-type"),
		"the origin null":      preflight("null", "POST", "content-type"),
		"another method":       preflight(appOrigin, "DELETE", "content-type"),
		"another header":       preflight(appOrigin, "POST", "content-type,x-token"),
		"any header":           preflight(appOrigin, "POST", "*"),
		"two origins":          {"Origin": {appOrigin, "https://secret.secret.secret"}, "Access-Control-Request-Method": {"POST"}},
		"a method and another": {"Origin": {appOrigin}, "Access-Control-Request-Method": {"POST", "secret.secret.secret"}},
		"many headers":         preflight(appOrigin, "POST", strings.Repeat("content-type,", 2000)),
		"no method":            {"Origin": {appOrigin}},
	} {
		resp, body := f.ask(t, http.MethodOptions, dropInPath, header)
		if got := corsHeaders(resp); strings.Contains(got, "Allow-Methods") || strings.Contains(got, "Allow-Headers") {
			t.Errorf("%s: %s, %q", name, resp.Status, got)
		}
		if strings.Contains(corsHeaders(resp)+string(body), "secret") {
			t.Errorf("%s echoes the request", name)
		}
	}
}

// Without allowed origins, responses have no CORS headers, and OPTIONS gets 405.
func TestCORSIsOffByDefault(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	resp, _ := f.ask(t, http.MethodOptions, dropInPath, preflight(appOrigin, "POST", "content-type"))
	if resp.StatusCode != http.StatusMethodNotAllowed || corsHeaders(resp) != "" {
		t.Errorf("a preflight: %s, %v", resp.Status, resp.Header)
	}
	resp, _ = f.post(t, dropInPath, http.Header{"Origin": {appOrigin}}, revokeABC)
	if resp.StatusCode != http.StatusNoContent || corsHeaders(resp) != "" {
		t.Errorf("a call: %s, %v", resp.Status, resp.Header)
	}
}

// A page may read every response, except errors of net/http itself.
func TestResponsesThatPagesMayRead(t *testing.T) {
	t.Parallel()
	f := startFacade(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
		return slashid.Result{Status: http.StatusRequestTimeout, Envelope: true, Sent: true, CorrelationID: "7f0c"}
	}), withOrigins(appOrigin))
	for name, tt := range map[string]struct {
		path, contentType, body string
		want                    int
	}{
		"408":              {dropInPath, "application/json", `{"token":"a.b.c"}`, http.StatusRequestTimeout},
		"504":              {nativePath, "application/json", `{"token":"a.b.c"}`, http.StatusGatewayTimeout},
		"a broken rule":    {dropInPath, "application/json", `{}`, http.StatusBadRequest},
		"another type":     {nativePath, "text/plain", `{}`, http.StatusUnsupportedMediaType},
		"a body too large": {nativePath, "application/json", strings.Repeat(" ", 1<<17), http.StatusRequestEntityTooLarge},
		"another path":     {"/v1/tokens", "application/json", `{}`, http.StatusNotFound},
	} {
		for origin, want := range map[string]string{
			appOrigin: "Access-Control-Allow-Origin: " + appOrigin + "\n" +
				"Access-Control-Expose-Headers: Slashid-Correlation-Id, Retry-After, Quash-Error-Reason, Quash-Revocation-State\n",
			"https://evil.example.com": "",
		} {
			resp, _ := f.post(t, tt.path, http.Header{"Origin": {origin}, "Content-Type": {tt.contentType}}, []byte(tt.body))
			if got := corsHeaders(resp); resp.StatusCode != tt.want || got != want || resp.Header.Get("Vary") != "Origin" {
				t.Errorf("%s from %s: %s, %s", name, origin, resp.Status, got)
			}
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
	for want, origins := range map[string][]string{
		"it would allow":           {"*", "null"},
		"have http:// or":          {"", "app.example.com", "localhost:3000", "https://", "https://:443", "file:///etc", "ftp://a.example", " " + appOrigin, appOrigin + " ", appOrigin + ":x"},
		"must name one host":       {"https://*.example.com"},
		"and nothing else":         {appOrigin + "/", appOrigin + "?", appOrigin + "#", "https://me@app.example.com", "https://a.example,https://b.x"},
		"browsers send it in":      {"HTTPS://app.example.com", "https://App.example.com", "https://b\u00fccher.example"},
		"without the default port": {appOrigin + ":443", "http://app.example.com:80", appOrigin + ":"},
	} {
		for _, origin := range origins {
			if err := server.CheckOrigin(origin); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", origin, err, want)
			}
		}
	}
}
