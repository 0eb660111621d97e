package slashid

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/quashdev/quash/internal/secrettest"
)

// No way to print, log or encode a value with a secret in it reveals a part of the secret, in
// any encoding.
func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	type embedding struct{ Secret }
	type unexported struct { // package fmt does not call methods here
		secret  Secret
		pointer *Secret
		request Request
	}
	verbs := []string{
		"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%b", "%o", "%c", "%U", "%t", "%e", "%.3s", "%060d", "%z", "%T", "%p",
	}
	secret := NewSecret(token)
	request := Request{Token: secret, Credentials: Credentials{APIKey: secret, Authorization: secret}}
	for _, holder := range []any{
		secret, &secret,
		embedding{secret},
		&embedding{secret},
		unexported{secret, &secret, request},
		&unexported{secret, &secret, request},
		struct{ Token any }{secret},
		request, &request,
		[]*Secret{&secret},
		[]any{secret},
		map[string]Secret{"token": secret},
		map[Secret]string{secret: "token"},
	} {
		var out bytes.Buffer
		for _, verb := range verbs {
			fmt.Fprintf(&out, verb+"\n", holder)
			fmt.Fprintln(&out, fmt.Errorf("revoke "+verb, holder))
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).With("with", holder).WithGroup("group").Info(fmt.Sprint(holder), "holder", holder)
		}
		for _, encode := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} { // an error must not quote the secret
			encoded, err := encode(holder)
			fmt.Fprintln(&out, string(encoded), err)
		}
		fmt.Fprintln(&out, template.Must(template.New("").Parse(`{{.}} {{printf "%#v %x" . .}}`)).Execute(&out, holder))
		if trace := secrettest.Trace(out.String(), token); trace != "" {
			t.Errorf("%T shows %q: %s", holder, trace, out.String())
		}
	}
	encoded, err := json.Marshal(map[string]any{"value": secret, "key": map[Secret]int{secret: 1}, "none": Secret{}})
	if want := `{"key":{"[redacted]":1},"none":"[redacted]","value":"[redacted]"}`; err != nil || string(encoded) != want {
		t.Errorf("got %s, %v, want %s", encoded, err, want)
	}
}

func TestSecretReveal(t *testing.T) {
	t.Parallel()
	for text, absent := range map[string]bool{"": true, " ": false, token: false} {
		secret := NewSecret(text)
		if secret.Reveal() != text || secret.IsZero() != absent || absent && secret != (Secret{}) {
			t.Errorf("%q: got %q, absent %t", text, secret.Reveal(), secret.IsZero())
		}
	}
}

// SlashID's id is passed on if it looks like an id and shares no twelve consecutive characters
// with a secret.
func TestCorrelationID(t *testing.T) {
	t.Parallel()
	req := aRequest()
	req.Credentials.Authorization = NewSecret("Bearer an-opaque-access-token")
	for id, want := range map[string]bool{
		"9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38": true,
		"azAZ09._-":                            true,
		strings.Repeat("z", 64):                true,
		strings.Repeat("z", 65):                false,
		"a b":                                  false,
		"\u00fc":                               false,
		"a\xffb":                               false,
		tokenClaims:                            false,
		"id-" + tokenClaims[7:19]:              false,
		"id-" + tokenClaims[7:18]:              true,
		"key-of-the-o":                         false,
		"x-access-token-x":                     false,
	} {
		if got := req.correlationID(id); (got == id) != want || got != id && got != "" {
			t.Errorf("%q became %q", id, got)
		}
	}
	req.Credentials.APIKey = NewSecret("short") // a short secret counts as a whole
	if got := req.correlationID("a-short-id"); got != "" {
		t.Errorf("the key is in %q", got)
	}
}
