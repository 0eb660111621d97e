package slashid_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/quashdev/quash/internal/secrettest"

	"github.com/quashdev/quash/service/slashid"
)

const redacted = "[redacted]"

// embedding is a struct that takes its methods from the secret in it.
type embedding struct{ slashid.Secret }

// holders are the shapes in which a secret may come to be printed.
func holders() map[string]any {
	secret := slashid.NewSecret(token)
	credentials := slashid.Credentials{APIKey: secret, Authorization: secret, OrgID: "organisation"}
	return map[string]any{
		"secret":                 secret,
		"pointer":                &secret,
		"pointer to a pointer":   func() **slashid.Secret { p := &secret; return &p }(),
		"embedding":              embedding{secret},
		"pointer to embedding":   &embedding{secret},
		"struct":                 struct{ Token slashid.Secret }{secret},
		"struct with pointer":    struct{ Token *slashid.Secret }{&secret},
		"struct with any":        struct{ Token any }{secret},
		"credentials":            credentials,
		"request":                slashid.Request{Token: secret, Credentials: credentials},
		"pointer to request":     &slashid.Request{Token: secret, Credentials: credentials},
		"slice":                  []slashid.Secret{secret, secret},
		"slice of pointers":      []*slashid.Secret{&secret},
		"slice of any":           []any{secret, &secret},
		"array":                  [1]slashid.Secret{secret},
		"map value":              map[string]slashid.Secret{"token": secret},
		"map key":                map[slashid.Secret]string{secret: "token"},
		"map of structs":         map[string]slashid.Request{"request": {Token: secret}},
		"slice of structs":       []slashid.Credentials{credentials},
		"pointer to slice":       &[]slashid.Secret{secret},
		"struct in a struct":     struct{ Request slashid.Request }{slashid.Request{Token: secret}},
		"function that holds it": func() slashid.Secret { return secret },
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	verbs := []string{
		"%v", "%+v", "%#v", "%s", "%+s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "% X", "%d", "%+d", "%b", "%o", "%O",
		"%c", "%U", "%#U", "%t", "%e", "%g", "%20s", "%-60s", "%.3s", "%060d", "%z", "%!", "%T", "%[1]v", "%[2]v", "%*d", "",
	}
	for name, holder := range holders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range verbs {
				if text := fmt.Sprintf(verb, holder); tellsToken(text) {
					t.Errorf("%s: %s", verb, text)
				}
			}
			for _, text := range []string{fmt.Sprint(holder), fmt.Sprintln(holder), fmt.Sprint("a", holder, 1)} {
				if tellsToken(text) {
					t.Errorf("Sprint: %s", text)
				}
			}
		})
	}
}

func TestSecretPrintsAsRedacted(t *testing.T) {
	t.Parallel()
	secret := slashid.NewSecret(token)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%z"} {
		for _, value := range []any{secret, &secret, slashid.Secret{}} {
			if got := fmt.Sprintf(verb, value); got != redacted {
				t.Errorf("%s of %T: got %q", verb, value, got)
			}
		}
	}
	if got := secret.String(); got != redacted {
		t.Errorf("String: got %q", got)
	}
	if got := fmt.Sprintf("%v", struct {
		Token slashid.Secret
		N     int
	}{secret, 7}); got != "{[redacted] 7}" {
		t.Errorf("in a struct: got %q", got)
	}
	if got := fmt.Sprint((*slashid.Secret)(nil)); got != "<nil>" {
		t.Errorf("a nil pointer: got %q", got)
	}
}

func TestSecretIsNotInErrors(t *testing.T) {
	t.Parallel()
	secret := slashid.NewSecret(token)
	err := fmt.Errorf("revoke %v: %w", secret, errors.New("refused"))
	if got, want := err.Error(), "revoke [redacted]: refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if text := errors.Join(err, fmt.Errorf("%+v", slashid.Request{Token: secret})).Error(); tellsToken(text) {
		t.Error(text)
	}
}

func TestSecretIsNotLogged(t *testing.T) {
	t.Parallel()
	for name, newHandler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for holderName, holder := range holders() {
				var out bytes.Buffer
				logger := slog.New(newHandler(&out))
				logger.Info("attribute", "holder", holder)
				logger.Info("group", slog.Group("group", slog.Any("holder", holder)))
				logger.With("holder", holder).Info("with")
				logger.WithGroup("group").Info("in a group", "holder", holder)
				logger.Info("error", "err", fmt.Errorf("of %v", holder))
				logger.Info(fmt.Sprint(holder))
				if text := out.String(); tellsToken(text) {
					t.Errorf("%s: %s", holderName, text)
				}
			}
			var out bytes.Buffer
			slog.New(newHandler(&out)).Info("m", "token", slashid.NewSecret(token))
			if !strings.Contains(out.String(), redacted) {
				t.Errorf("got %q", out.String())
			}
		})
	}
	if got := slog.AnyValue(slashid.NewSecret(token)).Resolve(); got.Kind() != slog.KindString || got.String() != redacted {
		t.Errorf("resolved: got %v %q", got.Kind(), got)
	}
	var out bytes.Buffer
	log.New(&out, "", 0).Println(slashid.NewSecret(token))
	if got := out.String(); got != redacted+"\n" {
		t.Errorf("log: got %q", got)
	}
}

func TestSecretIsNotEncoded(t *testing.T) {
	t.Parallel()
	for name, holder := range holders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for format, encode := range map[string]func(any) ([]byte, error){
				"JSON": json.Marshal,
				"XML":  xml.Marshal,
				"gob": func(value any) ([]byte, error) {
					var out bytes.Buffer
					err := gob.NewEncoder(&out).Encode(value)
					return out.Bytes(), err
				},
				"template": func(value any) ([]byte, error) {
					var out bytes.Buffer
					err := template.Must(template.New("").Parse(`{{.}} {{printf "%#v %x" . .}}`)).Execute(&out, value)
					return out.Bytes(), err
				},
			} {
				// Some shapes cannot be encoded; then the error must be silent too.
				out, err := encode(holder)
				if text := fmt.Sprintf("%s %v", out, err); tellsToken(text) {
					t.Errorf("%s: %s", format, text)
				}
			}
		})
	}

	secret := slashid.NewSecret(token)
	got, err := json.Marshal(map[string]any{"value": secret, "pointer": &secret, "key": map[slashid.Secret]int{secret: 1}})
	if want := `{"key":{"[redacted]":1},"pointer":"[redacted]","value":"[redacted]"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if text, err := secret.MarshalText(); err != nil || string(text) != redacted {
		t.Errorf("MarshalText: got %q, %v", text, err)
	}
}

// A test that looks for leaks must be able to see one.
func TestTellsToken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		token,
		"a " + tokenClaims + " b",
		hex.EncodeToString([]byte(token)),
		fmt.Sprintf("%X", tokenSignature),
		fmt.Sprintf("% x", tokenSignature),
		fmt.Sprintf("%# x", tokenSignature),
		fmt.Sprintf("%#v", []byte(tokenSignature)),
	} {
		if !tellsToken(text) {
			t.Errorf("missed in %q", text)
		}
	}
	if tellsToken(redacted) {
		t.Error("seen where there is none")
	}
}

func TestSecretReveal(t *testing.T) {
	t.Parallel()
	if got := slashid.NewSecret(token).Reveal(); got != token {
		t.Errorf("got %q", got)
	}
	for _, tc := range []struct {
		secret slashid.Secret
		want   bool
	}{
		{slashid.Secret{}, true},
		{slashid.NewSecret(""), true},
		{slashid.NewSecret(" "), false},
		{slashid.NewSecret(token), false},
	} {
		if got := tc.secret.IsZero(); got != tc.want {
			t.Errorf("IsZero of %q: got %t, want %t", tc.secret.Reveal(), got, tc.want)
		}
	}
}

func TestSecretOccursIn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, secret, text string
		want               bool
	}{
		{"the whole", token, token, true},
		{"the whole within a text", token, "malformed HTTP response \"" + token + "\"", true},
		{"its header", token, "x" + tokenHeader + "x", true},
		{"its claims", token, "x" + tokenClaims + "x", true},
		{"its signature", token, "x" + tokenSignature + "x", true},
		{"two parts", token, tokenHeader + "." + tokenClaims, true},
		{"nothing of it", token, "connection refused", false},
		{"no text", token, "", false},
		{"the dots", token, "..", false},
		{"a piece of a part", token, tokenClaims[3:15], true},
		{"less than a piece", token, tokenClaims[3:14], false},
		{"a piece across a dot", token, tokenHeader[len(tokenHeader)-6:] + "." + tokenClaims[:5], true},
		{"an opaque credential without its scheme", "Bearer an-opaque-access-token", "an-opaque-access-token", true},
		{"another case", token, strings.ToLower(token), false},

		{"an absent secret", "", "connection refused", false},
		{"an absent secret, no text", "", "", false},

		{"a key without dots", "an-api-key", "key an-api-key", true},
		{"a short key", "key", "a key", true},
		{"a short whole with dots", "a.b.c", "x a.b.c x", true},
		{"its short parts turn up anywhere", "a.b.c", "a b c", false},
		{"a part of 8 letters", "1234567.abcdefgh", "abcdefgh", false},
		{"empty parts", "..abcdefgh..", "x", false},
		{"only dots", "...", "... and so on", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := slashid.NewSecret(tc.secret).OccursIn(tc.text); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

// Whatever the secret and however it is formatted, logged or encoded, no piece of
// it comes out, in no encoding.
func FuzzSecretIsNotPrinted(f *testing.F) {
	for _, format := range []string{
		"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "% X", "%#x", "%d", "%c", "%U", "%t", "%g", "%p", "%#p", "%T", "%w", "%z", "%!",
		"%-60.3s", "%060d", "%[1]v %[1]s", "%*v", "%[1]*v", "%.[1]*d", "%", "", "%\xff", "%[0]v", "%[9]v", "%v%v%v",
	} {
		f.Add(token, format)
	}
	f.Add("Bearer an-opaque-access-token", "%v")
	f.Add("\x00\xff\"\\\n<&>\u2028 and so on", "%+v")
	f.Add(redacted+redacted, "%#v")
	wide := regexp.MustCompile(`[0-9]{4}`) // megabytes of blanks
	f.Fuzz(func(t *testing.T, text, format string) {
		if len(text) < secrettest.TellingRun || len(text) > 1<<10 || len(format) > 100 || wide.MatchString(format) {
			return
		}
		text = secrettest.Spiked(text)
		secret := slashid.NewSecret(text)
		type unexported struct {
			secret  slashid.Secret
			pointer *slashid.Secret
			request slashid.Request
		}
		request := slashid.Request{Token: secret, Credentials: slashid.Credentials{APIKey: secret, Authorization: secret}}
		for _, holder := range []any{
			secret, &secret, request,
			[]slashid.Secret{secret},
			map[slashid.Secret]any{secret: &secret},
			embedding{secret},
			unexported{secret, &secret, request},
			&unexported{secret, &secret, request},
		} {
			var out bytes.Buffer
			fmt.Fprintf(&out, format, holder)
			fmt.Fprintln(&out, fmt.Errorf(format, holder), fmt.Sprint(holder))
			encoded, err := json.Marshal(holder)
			fmt.Fprintln(&out, string(encoded), err)
			for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
				logger.With("with", holder).WithGroup("group").Info(fmt.Sprint(holder), "holder", holder, slog.Group("group", "holder", holder))
			}
			if trace := secrettest.Trace(out.String(), text); trace != "" {
				t.Errorf("%q of %T tells %q: %s", format, holder, trace, out.String())
			}
		}
		if got, err := json.Marshal(secret); err != nil || string(got) != `"`+redacted+`"` {
			t.Errorf("JSON: %s, %v", got, err)
		}
		if got := slog.AnyValue(secret).Resolve().String(); got != redacted {
			t.Errorf("slog: %q", got)
		}
	})
}

// A text tells something of a secret exactly when it holds secrettest.TellingRun bytes in a
// row of it, or all of a short one, wherever they stand.
func FuzzSecretOccursIn(f *testing.F) {
	f.Add(token, "malformed HTTP response \"", "\"", uint16(0), uint16(len(token)))
	for _, length := range []uint16{0, 1, 11, 12, 13} {
		f.Add(token, "", "", uint16(len(tokenHeader)-6), length)
		f.Add(token, tokenHeader[:11], tokenClaims[:11], uint16(30), length)
		f.Add("aaaaaaaaaaaaa", "aaaaaaaaaaa", "", uint16(0), length)
	}
	f.Add("a.b.c", "x ", " x", uint16(0), uint16(5))
	f.Add("an-api-key12", "", "", uint16(0), uint16(12))
	f.Add("", "connection refused", "", uint16(0), uint16(0))
	f.Add("\xff\x00\u00fcber\u00fcber\xf0", "\xff", "\x00", uint16(1), uint16(12))
	f.Fuzz(func(t *testing.T, secret, before, after string, from, length uint16) {
		if len(secret)+len(before)+len(after) > 4<<10 {
			return
		}
		begin := min(int(from), len(secret))
		piece := secret[begin:min(begin+int(length), len(secret))]
		text := before + piece + after

		got := slashid.NewSecret(secret).OccursIn(text)

		want := secret != "" && strings.Contains(text, secret) || secrettest.SharedRun(text, secret) != ""
		if got != want {
			t.Errorf("%q in %q: got %t, want %t", secret, text, got, want)
		}
		if len(piece) >= secrettest.TellingRun && !got {
			t.Errorf("%q, of %q, is missed in %q", piece, secret, text)
		}
	})
}
