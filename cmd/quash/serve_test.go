package main

import (
	"encoding/pem"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/pkitest"
)

func TestParseAPIKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"k3y":             "k3y",
		"k3y\r\n":         "k3y",
		"\n\t k3y \n\n":   "k3y",
		"!\"#$%&'()*+/~":  "!\"#$%&'()*+/~",
		"":                "",
		" \t\r\n\n":       "",
		"k3y\nold":        "",
		"the k3y":         "",
		"k3y\x00k3y":      "",
		"k3ÿ":             "",
		"\ufeffk3y":       "",
		"k3y\xff":         "",
		"k3\u00ady":       "",
		"k3y\u2028second": "",
	} {
		key, err := parseAPIKey([]byte(text))
		if got := key.Reveal(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is the key %q (%v), want %q", text, got, err, want)
		}
	}
}

// A key is valid as the value of a header, and an error does not quote the file.
func FuzzParseAPIKey(f *testing.F) {
	for _, seed := range []string{"k3y", "k3y\r\n", "", " ", "two keys", "k\x00y", "k3ÿ", "\ufeffk3y", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := parseAPIKey(text)
		if err != nil {
			if got := err.Error(); got != "it is empty" && got != "it must hold one key, in printable ASCII" {
				t.Errorf("the error is %q", got)
			}
			return
		}
		if key.IsZero() || strings.ContainsFunc(key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is accepted as the key %q", text, key.Reveal())
		}
	})
}

func TestParseCertificates(t *testing.T) {
	t.Parallel()
	certificate := string(pkitest.NewCA("authority").PEM())
	block, _ := pem.Decode([]byte(certificate))
	publicKey := strings.ReplaceAll(certificate, "CERTIFICATE", "PUBLIC KEY")
	const noPEM = "it holds no PEM certificate"
	for name, tt := range map[string]struct{ text, problem string }{
		"a certificate":                    {certificate, ""},
		"with words around it":             {"# the company's\n" + certificate + "# that was it\n", ""},
		"a chain":                          {certificate + certificate, ""},
		"another kind of PEM before it":    {publicKey + certificate, ""},
		"empty":                            {"", noPEM},
		"a certificate cut":                {certificate[:len(certificate)/2], noPEM},
		"another kind of PEM":              {publicKey, noPEM},
		"DER":                              {string(block.Bytes), noPEM},
		"one that is cut after another":    {certificate + certificate[:len(certificate)/2], "one of its certificates is cut off or broken"},
		"what is no certificate after one": {certificate + strings.ReplaceAll(certificate, "MII", "AII"), "its certificate 2 is broken: x509: malformed certificate"},
	} {
		pool, err := parseCertificates([]byte(tt.text))
		switch {
		case tt.problem == "" && (err != nil || pool.Equal(nil)):
			t.Errorf("%s: %v", name, err)
		case tt.problem != "" && (err == nil || err.Error() != tt.problem):
			t.Errorf("%s: the error is %v, want %s", name, err, tt.problem)
		}
	}
}
