package secrettest_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
)

const (
	jti = "0b50b1ec-8d1c-4c5e-9f2a-6f0f7a3ad1c9"
	sub = "6f0f7a3a-1f6e-4d3b-8e55-0b50b1ec7721"
	// key has characters that every kind of quoting changes.
	key = `k"3\y<&>'%+/=.dR7qTz0Wm4Xc`
)

var token = base64.RawURLEncoding.EncodeToString([]byte(`{"kid":"Qm7Zr4Tx0Lw9","alg":"ES256"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"`+jti+`","sub":"`+sub+`"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte("\x00\x9f\xfe signed by nobody at all, with a few \xff\xfb\xbf of every kind"))

func pieces() map[string]string {
	parts := strings.Split(token, ".")
	return map[string]string{
		"token": token, "header": parts[0], "claims": parts[1], "signature": parts[2],
		"jti": jti, "sub": sub, "key": key, "header and claims": parts[0] + "." + parts[1],
	}
}

func newSearcher() *secrettest.Searcher {
	return secrettest.NewSearcher(append(secrettest.OfToken("the token", token), secrettest.Secret{Name: "the key", Text: key})...)
}

// writings are how a text may be written down; each is found. They are made here
// without the code that looks for them.
func writings() map[string]func(string) string {
	each := func(format, separator string) func(string) string {
		return func(s string) string {
			var all []string
			for _, c := range []byte(s) {
				all = append(all, fmt.Sprintf(format, c))
			}
			return strings.Join(all, separator)
		}
	}
	printed := func(format string) func(string) string {
		return func(s string) string { return fmt.Sprintf(format, []byte(s)) }
	}
	all := map[string]func(string) string{
		"as it is":                        func(s string) string { return s },
		"upper case":                      strings.ToUpper,
		"lower case":                      strings.ToLower,
		"hex":                             printed("%x"),
		"hex in upper case":               printed("%X"),
		"hex, apart":                      printed("% x"),
		"hex, with 0x":                    printed("%#x"),
		"hex, each with 0x":               printed("%# x"),
		"hex, with colons":                each("%02x", ":"),
		"hex, with colons, upper case":    each("%02X", ":"),
		"hexdump":                         func(s string) string { return hex.Dump([]byte(s)) },
		"bytes of %v":                     printed("%v"),
		"bytes of %#v":                    printed("%#v"),
		"bytes of %#v, upper case":        func(s string) string { return strings.ToUpper(fmt.Sprintf("%#v", []byte(s))) },
		"a JSON array of numbers":         each("%d", ","),
		"a list of numbers":               each("%d", ", "),
		"percent-encoded":                 each("%%%02X", ""),
		"percent-encoded, lower case":     each("%%%02x", ""),
		"escapes of JSON":                 each(`\u%04x`, ""),
		"escapes of JSON, upper case":     each(`\u%04X`, ""),
		"escapes of Go":                   each(`\x%02x`, ""),
		"octal escapes":                   each(`\%03o`, ""),
		"in a URL's query":                url.QueryEscape,
		"in a URL's path":                 url.PathEscape,
		"in JSON":                         func(s string) string { return string(must(json.Marshal(s))) },
		"in Go":                           func(s string) string { return fmt.Sprintf("%q", s) },
		"in Go, in ASCII":                 func(s string) string { return fmt.Sprintf("%+q", s) },
		"in HTML":                         html.EscapeString,
		"the password of a URL":           func(s string) string { return url.UserPassword("user", s).String() },
		"with nothing but its first half": func(s string) string { return s[:max(len(s)/2, secrettest.TellingRun)] },
		"with nothing but its last half":  func(s string) string { return s[min(len(s)/2, len(s)-secrettest.TellingRun):] },
	}
	for name, encoding := range map[string]*base64.Encoding{
		"standard base64": base64.StdEncoding, "standard base64, unpadded": base64.RawStdEncoding,
		"URL base64": base64.URLEncoding, "URL base64, unpadded": base64.RawURLEncoding,
	} {
		for before := range 3 {
			all[fmt.Sprintf("%s, %d bytes in", name, before)] = func(s string) string {
				return encoding.EncodeToString([]byte("a:"[:before] + s))
			}
			all[fmt.Sprintf("%s, %d bytes in, more behind", name, before)] = func(s string) string {
				return encoding.EncodeToString([]byte("a:"[:before] + s + "-and-so-on"))
			}
		}
	}
	for name, sum := range map[string]func(s string) []byte{
		"MD5":     func(s string) []byte { d := md5.Sum([]byte(s)); return d[:] },
		"SHA-1":   func(s string) []byte { d := sha1.Sum([]byte(s)); return d[:] },
		"SHA-256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:] },
		"SHA-512": func(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:] },
	} {
		all[name+" in hex"] = func(s string) string { return hex.EncodeToString(sum(s)) }
		all[name+" in hex, upper case"] = func(s string) string { return strings.ToUpper(hex.EncodeToString(sum(s))) }
		all[name+" in hex, 6 bytes of it"] = func(s string) string { return hex.EncodeToString(sum(s)[:6]) }
		all[name+" in hex, the last half"] = func(s string) string { d := sum(s); return hex.EncodeToString(d[len(d)/2:]) }
		all[name+" in base64"] = func(s string) string { return base64.StdEncoding.EncodeToString(sum(s)) }
		all[name+" in URL base64"] = func(s string) string { return base64.RawURLEncoding.EncodeToString(sum(s)) }
		all[name+" in base64, 1 byte in"] = func(s string) string { return base64.StdEncoding.EncodeToString(append([]byte{1}, sum(s)...)) }
		all[name+" as bytes"] = func(s string) string { return fmt.Sprintf("%d", sum(s)) }
	}
	return all
}

// What is looked for is found, however it is written down and wherever it stands.
func TestSearcherFinds(t *testing.T) {
	t.Parallel()
	searcher := newSearcher()
	n := 0
	for piece, text := range pieces() {
		for name, write := range writings() {
			n++
			told := `{"level":"INFO","msg":"` + write(text) + `","elapsed":12}` + "\n"
			if what, _ := searcher.Find(told); what == "" {
				t.Errorf("%s, %s: not found in %s", piece, name, told)
			}
		}
	}
	for name, told := range map[string]string{
		"jti without dashes":    strings.ReplaceAll(jti, "-", ""),
		"bytes of a UUID":       fmt.Sprintf("%d", must(hex.DecodeString(strings.ReplaceAll(jti, "-", "")))),
		"bytes of a signature":  hex.EncodeToString(must(base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:]))),
		"claims, decoded":       string(must(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1]))),
		"in a header":           "Authorization: Bearer " + token,
		"the name of a header":  "X-" + strings.ToUpper(token[:1]) + strings.ToLower(token[1:]) + ": 1",
		"basic authentication":  "Basic " + base64.StdEncoding.EncodeToString([]byte(token+":")),
		"a URL":                 "https://api.slashid.com/?token=" + token,
		"at the very beginning": token,
	} {
		n++
		if what, _ := searcher.Find(told); what == "" {
			t.Errorf("%s: not found in %s", name, told)
		}
	}
	t.Logf("%d writings of %d pieces: %d texts", len(writings()), len(pieces()), n)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Any run of TellingRun bytes tells, and one byte less does not.
func TestSearcherFindsRuns(t *testing.T) {
	t.Parallel()
	searcher := newSearcher()
	for i := range len(token) - secrettest.TellingRun + 1 {
		run := token[i : i+secrettest.TellingRun]
		for before := range 3 {
			for _, told := range []string{
				"abc"[:before] + run + "~",
				base64.StdEncoding.EncodeToString([]byte("abc"[:before] + run + "~")),
				hex.EncodeToString([]byte("abc"[:before] + run + "~")),
				fmt.Sprintf("%d", []byte("abc"[:before]+run+"~")),
			} {
				if what, _ := searcher.Find(told); what == "" {
					t.Errorf("%q is missed in %s", run, told)
				}
			}
		}
		if what, at := searcher.Find("~" + run[1:] + "~"); what != "" {
			t.Errorf("%d bytes are taken for %s at %d: %s", secrettest.TellingRun-1, what, at, run[1:])
		}
	}
}

func TestSearcherSaysWhatAndWhere(t *testing.T) {
	t.Parallel()
	searcher := secrettest.NewSearcher(secrettest.Secret{Name: "the key", Text: "an-api-key-of-ours"})
	for told, want := range map[string]string{
		"key=an-api-key-of-ours":                                  "the key as it is at 4",
		"key=" + hex.EncodeToString([]byte("an-api-key-of-ours")): "the key in hex at 4",
		"": " at 0", "an-api-key": " at 0",
	} {
		if what, at := searcher.Find(told); fmt.Sprint(what, " at ", at) != want {
			t.Errorf("%q: %s at %d, want %s", told, what, at, want)
		}
	}
}

// What has nothing of a secret is left alone, much as it may look like one.
func TestSearcherLetsPass(t *testing.T) {
	t.Parallel()
	searcher := newSearcher()
	sum := sha256.Sum256([]byte("another token"))
	for _, told := range []string{
		"", "a", "level=INFO msg=serving grpc=127.0.0.1:9090",
		"e52d3ad6-4c5e-4c0a-9f2a-0123456789ab",
		hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]), fmt.Sprint(sum), strings.Repeat("0", 64),
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA",
		"goroutine 1 [running]:\nmain.main()\n\t/src/main.go:12 +0x1d\n", "0xc000123400, 0x20, 0x40, 0x41, 0x42, 0x65, 0x79",
		"[101 121 74 114 97 87 81]",
	} {
		if what, at := searcher.Find(told); what != "" {
			t.Errorf("%s is found at %d in %q", what, at, told)
		}
	}
}

func TestSearcherRefusesWhatIsTooShort(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a secret of 11 bytes is taken")
		}
	}()
	secrettest.NewSearcher(secrettest.Secret{Name: "short", Text: "01234567890"})
}
