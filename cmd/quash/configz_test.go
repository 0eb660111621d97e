package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service/slashid"
)

const (
	sampleSecret = "s3cret-6f1d0a9c7b"
	sampleToken  = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiI3YjZjMGRhOSJ9.c2lnbmF0dXJlLW9mLWl0"
)

// /configz shows no secret from the environment, and no token in any flag.
func TestConfigzKeepsSecrets(t *testing.T) {
	t.Parallel()
	command, err := newParser(streams{}).Parse([]string{
		"serve", "--grpc-addr", sampleToken, "--cors-allowed-origin", "a," + sampleToken,
		"--tls-cert-file", "/run/" + sampleToken, "--upstream-url", "https://" + sampleToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	shown := newConfigz(command)
	shown.Environment = shownEnvironment([]string{
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=" + sampleSecret, "OTEL_SERVICE_NAME=" + sampleToken,
		"https_proxy=http://quash:" + sampleSecret + "@proxy:3128", "UNRELATED=" + sampleSecret,
	})
	upstream := slashid.Config{BaseURL: &url.URL{Scheme: "https", Host: "api.slashid.com", User: url.UserPassword("quash", sampleSecret)}}
	shown = shown.towards(upstream, func() slashid.Secret { return slashid.NewSecret(sampleSecret) })
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	searcher := secrettest.NewSearcher(append(secrettest.OfToken("the token", sampleToken),
		secrettest.Secret{Name: "the secret", Text: sampleSecret})...)
	if what, at := searcher.Find(string(text)); what != "" {
		t.Errorf("there is %s: %q", what, text[at:])
	}
	for _, want := range []string{`"/run/[redacted]"`, `["a","[redacted]"]`, `"quash's own API key"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in %s", want, text)
		}
	}
	want := map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": redacted, "OTEL_SERVICE_NAME": redacted, "https_proxy": redacted}
	if diff := cmp.Diff(want, shown.Environment); diff != "" {
		t.Error(diff)
	}
}
