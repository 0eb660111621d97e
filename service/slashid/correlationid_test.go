package slashid_test

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service/slashid"
)

// secretsOf are what an id may tell nothing of.
func secretsOf(r *slashid.Request) []string {
	secrets := []string{r.Token.Reveal(), r.Credentials.APIKey.Reveal(), r.Credentials.Authorization.Reveal()}
	for part := range strings.SplitSeq(r.Token.Reveal(), ".") {
		if decoded, err := base64.RawURLEncoding.DecodeString(part); err == nil && len(decoded) >= secrettest.TellingRun {
			secrets = append(secrets, string(decoded))
		}
	}
	return secrets
}

// meaningsOf are an id and what it is the encoding of.
func meaningsOf(id string) []string {
	all := []string{id}
	for _, form := range []struct {
		unit   int
		decode func(string) ([]byte, error)
	}{
		{2, hex.DecodeString}, {4, base64.RawStdEncoding.DecodeString}, {4, base64.RawURLEncoding.DecodeString},
	} {
		for from := range min(form.unit, len(id)) {
			whole := id[from:]
			decoded, _ := form.decode(whole[:len(whole)/form.unit*form.unit])
			if len(decoded) >= secrettest.TellingRun {
				all = append(all, string(decoded))
			}
		}
	}
	return all
}

// tells is what the short cuts must come to, said without any.
func tells(id string, secrets []string) bool {
	return slices.ContainsFunc(meaningsOf(id), func(text string) bool {
		return slices.ContainsFunc(secrets, func(secret string) bool {
			return slashid.NewSecret(secret).OccursIn(text)
		})
	})
}

func TestCorrelationID(t *testing.T) {
	t.Parallel()
	const claims = `{"jti":"5f0c9d1e-7a3b-4c52-9d61-0e8f2a7b6c43","sub":"pid:01:0d3a"}`
	encode := base64.RawURLEncoding.EncodeToString
	r := slashid.Request{
		Token:       slashid.NewSecret("eyJhbGciOiJFUzI1NiJ9." + encode([]byte(claims)) + ".c2lnbmVkLWluLWEtdGVzdA"),
		Credentials: slashid.Credentials{APIKey: slashid.NewSecret("an-api-key-of-the-organisation")},
	}
	for name, tt := range map[string]struct {
		id   string
		want bool
	}{
		"a UUID":                         {"9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38", true},
		"none":                           {"", true},
		"the longest":                    {strings.Repeat("z", 128), true},
		"one byte more":                  {strings.Repeat("z", 129), false},
		"a space":                        {"a b", false},
		"beyond ASCII":                   {"\u00fc", false},
		"a piece of the token":           {encode([]byte(claims))[7:19], false},
		"less than a piece of it":        {encode([]byte(claims))[7:18], true},
		"the end of it":                  {"x-WEtdGVzdA-LWluLWEtdGVzdA", false},
		"the token's own id":             {"5f0c9d1e-7a3b-4c52-9d61-0e8f2a7b6c43", false},
		"a piece of that":                {"9b2d8f4a-7a3b-4c52-9d6x", false},
		"less than a piece of that":      {"9b2d8f4ax7a3b-4c52-9x", true},
		"the token's own id, in hex":     {hex.EncodeToString([]byte("x5f0c9d1e-7a3b")), false},
		"the token's own id, in base64":  {"x" + encode([]byte("5f0c9d1e-7a3b")), false},
		"a piece of the key":             {"key-of-the-o", false},
		"a piece of the key, in hex":     {"0" + hex.EncodeToString([]byte("key-of-the-o")), false},
		"a piece of the key, in base64":  {base64.StdEncoding.EncodeToString([]byte("key-of-the-o")), false},
		"base64 of what is nobody's":     {encode([]byte("nothing that anyone would mind")), true},
		"the longest that is hex of all": {strings.Repeat("0123456789abcdef", 8), true},
	} {
		want := ""
		if tt.want {
			want = tt.id
		}
		if got := r.SafeCorrelationID(tt.id); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// An id is passed on exactly when it tells nothing, which most secrets are not looked at
// closely for.
func FuzzCorrelationID(f *testing.F) {
	for _, length := range []uint16{0, 11, 12, 13, 16, 24} {
		for form := range uint8(5) {
			f.Add(token, "an-api-key-of-the-organisation", "id-", length+uint16(form), length, form)
		}
	}
	f.Add("short.k", "key", "9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38", uint16(1), uint16(3), uint8(0))
	f.Add("c\n2lnbmVkLWluLWEtdGVzdA", "key", "", uint16(0), uint16(16), uint8(12)) // base64 may be broken into lines
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAA", "", "", uint16(0), uint16(12), uint8(4))
	f.Fuzz(func(t *testing.T, token, key, before string, from, length uint16, form uint8) {
		if len(token)+len(key)+len(before) > 2<<10 {
			return
		}
		r := &slashid.Request{
			Token:       slashid.NewSecret(token),
			Credentials: slashid.Credentials{APIKey: slashid.NewSecret(key), Authorization: slashid.NewSecret("Bearer " + key)},
		}
		secrets := secretsOf(r)
		source := secrets[int(form/4)%len(secrets)]
		begin := min(int(from), len(source))
		piece := source[begin:min(begin+int(length), len(source))]
		id := before + []func([]byte) string{
			func(b []byte) string { return string(b) },
			hex.EncodeToString,
			base64.StdEncoding.EncodeToString,
			base64.RawURLEncoding.EncodeToString,
		}[form%4]([]byte(piece))
		printable := !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
		if len(id) > 128 || !printable {
			return
		}

		got := r.SafeCorrelationID(id)

		want := id
		if id != "" && tells(id, secrets) {
			want = ""
		}
		// Zero bytes stand between the meanings of an id, so one more is found in a
		// secret that holds them.
		if got != want && (got != "" || !strings.Contains(strings.Join(secrets, ""), "\x00")) {
			t.Errorf("%q of %q: got %q, want %q", id, secrets, got, want)
		}
	})
}

func BenchmarkCorrelationID(b *testing.B) {
	claims := strings.Repeat(`{"jti":"5f0c9d1e-7a3b-4c52-9d61-0e8f2a7b6c43"}`, 16)
	r := &slashid.Request{
		Token: slashid.NewSecret("eyJhbGciOiJFUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) +
			"." + strings.Repeat("c2lnbmVkLWluLWEtdGVzdA", 4)),
		Credentials: slashid.Credentials{APIKey: slashid.NewSecret("an-api-key-of-the-organisation")},
	}
	b.ReportAllocs()
	for b.Loop() {
		if r.SafeCorrelationID("9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38") == "" {
			b.Fatal("it is kept back")
		}
	}
}
