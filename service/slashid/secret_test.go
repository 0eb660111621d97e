package slashid_test

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
	"github.com/quashdev/quash/service/slashid"
)

// embedding is a struct that takes its methods from the secret in it.
type embedding struct{ slashid.Secret }

// unexported holds secrets where package fmt does not call methods.
type unexported struct {
	secret  slashid.Secret
	pointer *slashid.Secret
	request slashid.Request
}

// Whatever holds a secret, and in whichever way Go writes it down, no piece of it comes
// out, in no encoding.
func TestSecretIsNotTold(t *testing.T) {
	t.Parallel()
	verbs := []string{
		"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%b", "%o", "%c", "%U", "%t", "%e", "%.3s", "%060d", "%z", "%T", "%p",
	}
	secret := slashid.NewSecret(token)
	credentials := slashid.Credentials{APIKey: secret, Authorization: secret}
	request := slashid.Request{Token: secret, Credentials: credentials}
	for _, holder := range []any{
		secret, &secret,
		embedding{secret},
		&embedding{secret},
		unexported{secret, &secret, request},
		&unexported{secret, &secret, request},
		struct{ Token any }{secret},
		credentials, request, &request,
		[]slashid.Secret{secret},
		[]*slashid.Secret{&secret},
		[]any{secret},
		map[string]slashid.Secret{"token": secret},
		map[slashid.Secret]string{secret: "token"},
	} {
		var out bytes.Buffer
		for _, verb := range verbs {
			fmt.Fprintf(&out, verb+"\n", holder)
			fmt.Fprintln(&out, fmt.Errorf("revoke "+verb, holder))
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).With("with", holder).WithGroup("group").Info(fmt.Sprint(holder), "holder", holder)
		}
		for _, encode := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} { // or the error must be silent
			encoded, err := encode(holder)
			fmt.Fprintln(&out, string(encoded), err)
		}
		fmt.Fprintln(&out, template.Must(template.New("").Parse(`{{.}} {{printf "%#v %x" . .}}`)).Execute(&out, holder))
		if trace := secrettest.Trace(out.String(), token); trace != "" {
			t.Errorf("%T tells %q: %s", holder, trace, out.String())
		}
	}
}

func TestSecretIsWrittenAsRedacted(t *testing.T) {
	t.Parallel()
	const redacted = "[redacted]"
	secret := slashid.NewSecret(token)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%z"} {
		for _, value := range []any{secret, &secret, slashid.Secret{}} {
			if got := fmt.Sprintf(verb, value); got != redacted {
				t.Errorf("%s of %T: got %q", verb, value, got)
			}
		}
	}
	encoded, err := json.Marshal(map[string]any{"value": secret, "key": map[slashid.Secret]int{secret: 1}})
	if want := `{"key":{"[redacted]":1},"value":"[redacted]"}`; err != nil || string(encoded) != want {
		t.Errorf("got %s, %v, want %s", encoded, err, want)
	}
	if got := slog.AnyValue(secret).Resolve().String(); got != redacted {
		t.Errorf("it is logged as %s", got)
	}
}

func TestSecretReveal(t *testing.T) {
	t.Parallel()
	for text, absent := range map[string]bool{"": true, " ": false, token: false} {
		secret := slashid.NewSecret(text)
		if secret.Reveal() != text || secret.IsZero() != absent || absent && secret != (slashid.Secret{}) {
			t.Errorf("%q: got %q, absent %t", text, secret.Reveal(), secret.IsZero())
		}
	}
}

// A text tells something of a secret exactly when it holds secrettest.TellingRun bytes in a
// row of it, or all of a short one, wherever they stand.
func FuzzSecretOccursIn(f *testing.F) {
	f.Add(token, "malformed HTTP response \"", "\"", uint16(0), uint16(len(token)))
	for _, length := range []uint16{0, 1, 11, 12, 13} {
		f.Add(token, "", "", uint16(14), length) // across a dot
		f.Add(token, tokenClaims[:11], tokenClaims[:11], uint16(30), length)
		f.Add("aaaaaaaaaaaaa", "aaaaaaaaaaa", "", uint16(0), length)
	}
	f.Add("a.b.c", "x ", " x", uint16(0), uint16(5))
	f.Add("an-api-key", "key ", "", uint16(0), uint16(9))
	f.Add("", "connection refused", "", uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, secret, before, after string, from, length uint16) {
		if len(secret)+len(before)+len(after) > 4<<10 {
			return
		}
		begin := min(int(from), len(secret))
		text := before + secret[begin:min(begin+int(length), len(secret))] + after
		want := secret != "" && strings.Contains(text, secret) || secrettest.SharedRun(text, secret) != ""
		if got := slashid.NewSecret(secret).OccursIn(text); got != want {
			t.Errorf("%q in %q: got %t, want %t", secret, text, got, want)
		}
	})
}
