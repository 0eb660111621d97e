package slashid

import (
	"net/http"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://api.slashid.com":               "https://api.slashid.com",
		"https://api.slashid.com:8443":          "https://api.slashid.com:8443",
		"https://gateway.example/slashid/":      "https://gateway.example/slashid/",
		"https://gateway.example/token/revoke2": "https://gateway.example/token/revoke2",
		"http://[::1]:8081":                     "http://[::1]:8081",
		"HTTPS://API.SlashID.com":               "https://API.SlashID.com",
	} {
		if got, err := ParseBaseURL(text); err != nil || got.String() != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

// The errors never quote the text, because it may contain a password or a token.
func TestParseBaseURLErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://hunter2 .example":              "it is not a URL",
		"https://hunter2.example/%zz":           "it is not a URL",
		"":                                      "it must start with https:// (or http://)",
		"hunter2.example:443":                   "it must start with https:// (or http://)", // the host passes for a scheme
		"https:hunter2.example":                 "it must start with https:// (or http://)",
		"https://":                              "it has no host",
		"https://hunter2.example:0":             "its port must be a number from 1 to 65535",
		"https://user:hunter2@host.example":     "it must not contain credentials",
		"https://host.example?key=hunter2":      "it must not have a query or a fragment",
		"https://host.example#hunter2":          "it must not have a query or a fragment",
		"https://hunter2.example/token/revoke/": "it must not include the endpoint's path /token/revoke",
	} {
		if _, err := ParseBaseURL(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// The path of the base URL precedes the path of the endpoint.
func TestRevokeGoesBelowTheBaseURL(t *testing.T) {
	t.Parallel()
	var uri string
	server := startServer(t, "", func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		w.WriteHeader(http.StatusNoContent)
	})
	for path, want := range map[string]string{
		"": "/token/revoke", "/": "/token/revoke", "/a/b//": "/a/b/token/revoke", "/a%2Fb%20/": "/a%2Fb%20/token/revoke",
	} {
		if checkRevoked(t, revoke(t, newClient(t, server.URL+path), aRequest())); uri != want {
			t.Errorf("base path %q: got %q, want %q", path, uri, want)
		}
	}
}

// An accepted URL can be called. The error of a rejected one never quotes it.
func FuzzParseBaseURL(f *testing.F) {
	for _, text := range []string{
		"https://api.slashid.com", "http://[::1]:8081/a/../b//", "https://user:hunter2@host", "https:opaque", "https://h/%2e%2e/%2F",
		"https://host:65536", "https://host:", "https://[fe80::1%25eth0]", "https://h\u00f6st/\u00fc", "https://host/token%2Frevoke//",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseBaseURL(text)
		if err != nil {
			if run := secrettest.SharedRun(strings.ReplaceAll(err.Error(), "/token/revoke", ""), text); run != "" {
				t.Errorf("%q of %q is in %v", run, text, err)
			}
			return
		}
		if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q is accepted: %+v", text, u)
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.JoinPath("token", "revoke").String(), nil); err != nil {
			t.Errorf("%q is accepted, but cannot be called: %v", text, err)
		}
	})
}
