package slashid_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service/slashid"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://api.slashid.com":               "https://api.slashid.com",
		"https://api.slashid.com/":              "https://api.slashid.com/",
		"https://api.slashid.com:8443":          "https://api.slashid.com:8443",
		"https://gateway.example/slashid/":      "https://gateway.example/slashid/",
		"https://gateway.example/token":         "https://gateway.example/token",
		"https://gateway.example/token/revoke2": "https://gateway.example/token/revoke2",
		"http://127.0.0.1:8081":                 "http://127.0.0.1:8081",
		"http://[::1]:8081":                     "http://[::1]:8081",
		"HTTPS://API.SlashID.com":               "https://API.SlashID.com",
	} {
		got, err := slashid.ParseBaseURL(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got.String() != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// The errors never quote the text, since an operator may have put a password or a
// token in it.
func TestParseBaseURLErrors(t *testing.T) {
	t.Parallel()
	const (
		notAURL     = "it is not a URL"
		noScheme    = "it must start with https:// (or http://)"
		noHost      = "it names no host"
		credentials = "it must not hold credentials"
		query       = "it must not have a query or a fragment"
		endpoint    = "it must not include the endpoint's path /token/revoke"
	)
	const secret = "hunter2"
	for text, want := range map[string]string{
		"https://hunter2 .example":                  notAURL,
		"https://hunter2.example/%zz":               notAURL,
		"\x00hunter2":                               noScheme,
		"hunter2.example:443":                       noScheme, // the host passes for a scheme
		"":                                          noScheme,
		"hunter2.example":                           noScheme,
		"ftp://hunter2.example":                     noScheme,
		"https://":                                  noHost,
		"https:hunter2.example":                     noScheme,
		"https://user:hunter2@host.example":         credentials,
		"https://host.example?key=hunter2":          query,
		"https://host.example#hunter2":              query,
		"https://hunter2.example/token/revoke":      endpoint,
		"https://hunter2.example/token/revoke/":     endpoint,
		"https://host.example/hunter2/token/revoke": endpoint,
	} {
		u, err := slashid.ParseBaseURL(text)
		if err == nil {
			t.Errorf("%q: got %q", text, u)
			continue
		}
		if err.Error() != want {
			t.Errorf("%q: got %q, want %q", text, err, want)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is quoted: %v", text, err)
		}
	}
}

// What is accepted is a place below which there is a URL to call. What is not is never
// quoted.
func FuzzParseBaseURL(f *testing.F) {
	for _, text := range []string{
		"", "https://api.slashid.com", "http://[::1]:8081/a/../b//", "https://user:hunter2@host", "https://host/%zz",
		"https://host?a=b", "https:opaque", "https://h/%2e%2e/%2F", "https://host:65536", "https://host:", "https://[fe80::1%25eth0]",
		"https://h\u00f6st/\u00fc", "https://host/token%2Frevoke//", "https://host\n", "https://host/..//token/revoke/.",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := slashid.ParseBaseURL(text)
		if err != nil {
			if run := secrettest.SharedRun(strings.ReplaceAll(err.Error(), "/token/revoke", ""), text); run != "" {
				t.Errorf("%q of %q is told in %v", run, text, err)
			}
			return
		}
		if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q is accepted: %+v", text, u)
		}
		if _, err := slashid.ParseBaseURL(u.String()); err != nil {
			t.Errorf("%q is accepted, but %q is not: %v", text, u, err)
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.JoinPath("token", "revoke").String(), nil); err != nil {
			t.Errorf("%q is accepted, but cannot be called: %v", text, err)
		}
	})
}
