package main

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestReadAPIKeyNotThere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "nowhere")
	_, err := load(file, parseAPIKey)
	if !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), file) != 1 {
		t.Errorf("%v: want that %s does not exist, said once", err, file)
	}
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

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for text, tt := range map[string]struct {
		insecure bool
		problem  string // none when empty
	}{
		"":                                {false, "--upstream-url is missing"},
		"https://api.slashid.com":         {false, ""},
		"http://api.slashid.com":          {false, "plaintext"},
		"http://192.0.2.1:8081":           {true, ""},
		"http://localhost:8081":           {false, ""},
		"http://127.0.0.1":                {false, ""},
		"http://[::1]:8081":               {false, ""},
		"http://0.0.0.0:8081":             {false, "plaintext"},
		"http://127.0.0.1.example.com":    {false, "plaintext"},
		"http://localhost@192.0.2.1":      {false, "credentials"},
		"http://user:pass@localhost:8081": {true, "credentials"},
	} {
		cmd := serveCmd{UpstreamURL: text}
		cmd.Insecure = tt.insecure
		base, err := cmd.baseURL()
		switch {
		case tt.problem == "" && (err != nil || !strings.EqualFold(base.String(), text)):
			t.Errorf("%q: %v, %v", text, base, err)
		case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
			t.Errorf("%q: %v, want %q", text, err, tt.problem)
		}
	}
}

func TestUpstreamConnectionAge(t *testing.T) {
	t.Parallel()
	for age, problem := range map[time.Duration]string{
		time.Second:          "",
		24 * time.Hour:       "",
		999_999_999:          "--upstream-connection-age must be at least 1s, and is 999.999999ms",
		0:                    "--upstream-connection-age must be at least 1s, and is 0s",
		-24 * 30 * time.Hour: "--upstream-connection-age must be at least 1s, and is -720h0m0s",
	} {
		cmd := serveCmd{UpstreamURL: "https://api.slashid.com", UpstreamConnectionAge: age}
		cfg, _, _, problems := cmd.upstream()
		if got := strings.Join(problems, "; "); got != problem {
			t.Errorf("%s: %q, want %q", age, got, problem)
		}
		if problem == "" && cfg.ConnectionAge != age {
			t.Errorf("%s: the client has %s", age, cfg.ConnectionAge)
		}
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
