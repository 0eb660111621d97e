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

// unexported holds secrets where package fmt does not call methods.
type unexported struct {
	secret  slashid.Secret
	pointer *slashid.Secret
	request slashid.Request
}

// holdersOf are the shapes in which a secret may come to be printed.
func holdersOf(secret slashid.Secret) []any {
	pointer := &secret
	credentials := slashid.Credentials{APIKey: secret, Authorization: secret, OrgID: "organisation"}
	request := slashid.Request{Token: secret, Credentials: credentials}
	return []any{
		secret, pointer, &pointer,
		embedding{secret},
		&embedding{secret},
		unexported{secret, pointer, request},
		&unexported{secret, pointer, request},
		struct{ Token slashid.Secret }{secret},
		struct{ Token *slashid.Secret }{pointer},
		struct{ Token any }{secret},
		credentials, request, &request,
		struct{ Request slashid.Request }{request},
		[]slashid.Secret{secret, secret},
		[]*slashid.Secret{pointer},
		[]any{secret, pointer},
		[1]slashid.Secret{secret},
		&[]slashid.Secret{secret},
		[]slashid.Credentials{credentials},
		map[string]slashid.Secret{"token": secret},
		map[slashid.Secret]string{secret: "token"},
		map[string]slashid.Request{"request": request},
		func() slashid.Secret { return secret },
	}
}

// written is all that comes of a holder in the ways in which Go writes values down.
func written(holder any, formats ...string) string {
	var out bytes.Buffer
	for _, format := range formats {
		fmt.Fprintf(&out, format, holder)
		fmt.Fprintln(&out, errors.Join(fmt.Errorf(format, holder), fmt.Errorf("of %v: %w", holder, errors.New("refused"))))
	}
	fmt.Fprintln(&out, holder, fmt.Sprint(holder), fmt.Sprint("a", holder, 1))
	log.New(&out, "", 0).Println(holder)
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		logger.With("with", holder).WithGroup("group").Info(fmt.Sprint(holder), "holder", holder, slog.Group("group", "holder", holder))
	}
	// Some shapes cannot be encoded; then the error must be silent too.
	for _, encode := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		encoded, err := encode(holder)
		fmt.Fprintln(&out, string(encoded), err)
	}
	fmt.Fprintln(&out, gob.NewEncoder(&out).Encode(holder))
	fmt.Fprintln(&out, template.Must(template.New("").Parse(`{{.}} {{printf "%#v %x" . .}}`)).Execute(&out, holder))
	return out.String()
}

func TestSecretIsNotTold(t *testing.T) {
	t.Parallel()
	for _, holder := range holdersOf(slashid.NewSecret(token)) {
		text := written(holder,
			"%v", "%+v", "%#v", "%s", "%+s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "% X", "%d", "%+d", "%b", "%o", "%O", "%c",
			"%U", "%#U", "%t", "%e", "%g", "%20s", "%-60s", "%.3s", "%060d", "%z", "%!", "%T", "%[1]v", "%[2]v", "%*d", "")
		if tellsToken(text) {
			t.Errorf("%T: %s", holder, text)
		}
	}
}

func TestSecretIsWrittenAsRedacted(t *testing.T) {
	t.Parallel()
	secret := slashid.NewSecret(token)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%z"} {
		for _, value := range []any{secret, &secret, slashid.Secret{}} {
			if got := fmt.Sprintf(verb, value); got != redacted {
				t.Errorf("%s of %T: got %q", verb, value, got)
			}
		}
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "token", secret)
	encoded, err := json.Marshal(map[string]any{"value": secret, "pointer": &secret, "key": map[slashid.Secret]int{secret: 1}})
	if err != nil {
		t.Error(err)
	}
	text, _ := secret.MarshalText()
	for want, got := range map[string]string{
		"of a struct {[redacted] 7}": "of a struct " + fmt.Sprint(struct {
			Token slashid.Secret
			N     int
		}{secret, 7}),
		"of a nil pointer <nil>": "of a nil pointer " + fmt.Sprint((*slashid.Secret)(nil)),
		`{"key":{"[redacted]":1},"pointer":"[redacted]","value":"[redacted]"}`: string(encoded),
		redacted:                     string(text),
		redacted + ", by its method": secret.String() + ", by its method",
		redacted + ", resolved":      slog.AnyValue(secret).Resolve().String() + ", resolved",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !strings.Contains(logged.String(), redacted) {
		t.Errorf("it is logged as %s", logged.String())
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
	for text, absent := range map[string]bool{"": true, " ": false, token: false} {
		secret := slashid.NewSecret(text)
		if secret.Reveal() != text || secret.IsZero() != absent || absent && secret != (slashid.Secret{}) {
			t.Errorf("%q: got %q, absent %t", text, secret.Reveal(), secret.IsZero())
		}
	}
}

func TestSecretOccursIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, secret, text string
		want               bool
	}{
		{"the whole", token, token, true},
		{"the whole within a text", token, "malformed HTTP response \"" + token + "\"", true},
		{"a part", token, "x" + tokenClaims + "x", true},
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
		{"its short parts occur anywhere", "a.b.c", "a b c", false},
		{"a part of 8 letters", "1234567.abcdefgh", "abcdefgh", false},
		{"only dots", "...", "... and so on", true},
	} {
		if got := slashid.NewSecret(tt.secret).OccursIn(tt.text); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

// However a secret is formatted, logged or encoded, no piece of it comes out, in no
// encoding.
func FuzzSecretIsNotTold(f *testing.F) {
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
		var out strings.Builder
		for _, holder := range holdersOf(slashid.NewSecret(text)) {
			fmt.Fprintf(&out, "%T: %s\n", holder, written(holder, format))
		}
		if trace := secrettest.Trace(out.String(), text); trace != "" {
			t.Errorf("%q tells %q: %s", format, trace, out.String())
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
	f.Add("", "connection refused", "", uint16(0), uint16(0))
	f.Add("\xff\x00\u00fcber\u00fcber\xf0", "\xff", "\x00", uint16(1), uint16(12))
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
