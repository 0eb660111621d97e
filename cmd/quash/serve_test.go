package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/filewatch"
)

func TestReadAPIKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, key, problem string }{
		"a key":                       {"k3y", "k3y", ""},
		"a line":                      {"k3y\n", "k3y", ""},
		"a line of Windows":           {"k3y\r\n", "k3y", ""},
		"space around it":             {"\n\t k3y \n\n", "k3y", ""},
		"every printable character":   {"!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~", "!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~", ""},
		"empty":                       {"", "", "it is empty"},
		"blank":                       {" \t\r\n\n", "", "it is empty"},
		"two lines":                   {"k3y\nold", "", "one key"},
		"two words":                   {"the k3y", "", "one key"},
		"a control character":         {"k3y\x00k3y", "", "one key"},
		"beyond ASCII":                {"k3ÿ", "", "one key"},
		"a byte order mark":           {"\ufeffk3y", "", "one key"},
		"not even UTF-8":              {"k3y\xff", "", "one key"},
		"a soft line break in a word": {"k3\u00ady", "", "one key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, tt.text)
			key, err := load(file, parseAPIKey)
			if got := key.Reveal(); got != tt.key {
				t.Errorf("the key is %q, want %q", got, tt.key)
			}
			switch {
			case tt.problem == "" && err != nil:
				t.Error(err)
			case tt.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), file+": ") || !strings.Contains(err.Error(), tt.problem)):
				t.Errorf("%v, want %q", err, tt.problem)
			}
		})
	}
}

// load reads a file as serve does at its start.
func load[T any](file string, parse func([]byte) (T, error)) (value T, err error) {
	watched, err := filewatch.Load(file, parse)
	if err != nil {
		return value, err
	}
	return watched.Get(), nil
}

// Whatever a file holds, a key made of it goes into a header as it is, and an
// error does not depend on it.
func FuzzReadAPIKey(f *testing.F) {
	for _, seed := range []string{"k3y", "k3y\r\n", "", " ", "two keys", "k\x00y", "k3ÿ", "\ufeffk3y", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := write(t, string(text))
		key, err := load(file, parseAPIKey)
		if err != nil {
			if got := err.Error(); got != file+": it is empty" && got != file+": it must hold one key, in printable ASCII" {
				t.Errorf("the error is %q", got)
			}
			return
		}
		if key.IsZero() || strings.ContainsFunc(key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is taken for the key %q", text, key.Reveal())
		}
	})
}

func TestReadCertificates(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(upstream.Close)
	const none = "it holds no PEM certificate"
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw}))
	for name, tt := range map[string]struct {
		text, problem string
	}{
		"a certificate":                    {certificate, ""},
		"with words around it":             {"# the company's\n" + certificate + "# that was it\n", ""},
		"a chain":                          {certificate + certificate, ""},
		"another kind of PEM before it":    {strings.ReplaceAll(certificate, "CERTIFICATE", "PUBLIC KEY") + certificate, ""},
		"empty":                            {"", none},
		"no PEM":                           {"not a certificate\n", none},
		"a certificate cut":                {certificate[:len(certificate)/2], none},
		"another kind of PEM":              {strings.ReplaceAll(certificate, "CERTIFICATE", "PUBLIC KEY"), none},
		"DER":                              {string(upstream.Certificate().Raw), none},
		"one that is cut after another":    {certificate + certificate[:len(certificate)/2], "one of its certificates is cut off or broken"},
		"what is no certificate after one": {certificate + strings.ReplaceAll(certificate, "MII", "AII"), "its certificate 2 is broken: x509: malformed certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, tt.text)
			pool, err := load(file, parseCertificates)
			if tt.problem != "" {
				if err == nil || err.Error() != file+": "+tt.problem {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if pool == nil || pool.Equal(nil) {
				t.Error("no certificates")
			}
		})
	}
}

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
