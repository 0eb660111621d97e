package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/service/server"
)

// tlsFolder has the files that the flags of TLS name.
type tlsFolder struct{ cert, key, cas, list string }

func newTLSFolder(t *testing.T) tlsFolder {
	t.Helper()
	dir := t.TempDir()
	f := tlsFolder{
		filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"),
		filepath.Join(dir, "cas.pem"), filepath.Join(dir, "list"),
	}
	cert, key := pkitest.PEM(newServerPair(time.Time{}))
	put(t, f.cert, cert)
	put(t, f.key, key)
	put(t, f.cas, pkitest.NewCA("authority of callers").PEM())
	put(t, f.list, []byte("spiffe://example.org/billing\n"))
	return f
}

func (f tlsFolder) flags() *tlsFlags {
	return &tlsFlags{CertFile: fileName(f.cert), KeyFile: fileName(f.key), ClientCAFile: fileName(f.cas), AllowedCallersFile: fileName(f.list)}
}

func newServerPair(notAfter time.Time) tls.Certificate {
	return pkitest.NewCA("authority of quash").Issue(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: notAfter,
	})
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// held is what an access says at one moment.
type held struct {
	cert    *tls.Certificate
	cas     *x509.CertPool
	allowed server.AllowedCallers
}

func holding(a access) held { return held{a.tls.Certificate(), a.tls.ClientCAs(), a.allowed()} }

// equal compares what they let in.
func (h held) equal(other held) bool {
	return h.cert.Leaf.Equal(other.cert.Leaf) && h.cas.Equal(other.cas) && reflect.DeepEqual(h.allowed, other.allowed)
}

// A file that is replaced by a good one is used from then on, and said to be. One
// that is replaced by a bad one changes nothing, and is one ERROR.
func TestFilesAreReplaced(t *testing.T) {
	t.Parallel()
	const (
		certificate = "the TLS certificate"
		authorities = "the list of client authorities"
		list        = "the list of allowed callers"
	)
	cert, key := pkitest.PEM(newServerPair(time.Time{}))
	// Fake time begins with the year 2000.
	expired, expiredKey := pkitest.PEM(newServerPair(time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)))
	cas := pkitest.NewCA("another authority of callers").PEM()
	for name, tt := range map[string]struct {
		replace func(t *testing.T, f tlsFolder)
		what    string
		problem string // how the error begins, "" for a good one
	}{
		"certificate and key": {func(t *testing.T, f tlsFolder) { put(t, f.cert, cert); put(t, f.key, key) }, certificate, ""},
		"authorities":         {func(t *testing.T, f tlsFolder) { put(t, f.cas, cas) }, authorities, ""},
		"list":                {func(t *testing.T, f tlsFolder) { put(t, f.list, []byte("*\n")) }, list, ""},

		"certificate, truncated":      {func(t *testing.T, f tlsFolder) { put(t, f.cert, cert[:len(cert)/2]) }, certificate, "CERT and KEY: tls: failed to find any PEM data"},
		"certificate, of another key": {func(t *testing.T, f tlsFolder) { put(t, f.cert, cert) }, certificate, "CERT and KEY: tls: private key does not match public key"},
		"certificate, expired":        {func(t *testing.T, f tlsFolder) { put(t, f.cert, expired); put(t, f.key, expiredKey) }, certificate, "CERT and KEY: the certificate expired on 1999-12-31T00:00:00Z"},
		"certificate, gone":           {func(t *testing.T, f tlsFolder) { remove(t, f.cert) }, certificate, "CERT: no such file or directory"},
		"key, of another certificate": {func(t *testing.T, f tlsFolder) { put(t, f.key, key) }, certificate, "CERT and KEY: tls: private key does not match public key"},
		"authorities, empty":          {func(t *testing.T, f tlsFolder) { put(t, f.cas, nil) }, authorities, "CAS: it holds no PEM certificate"},
		"list, with a mistake":        {func(t *testing.T, f tlsFolder) { put(t, f.list, []byte("*\n*.example.org\n")) }, list, "LIST: line 2 has a * that is not its last character"},
		"list, gone":                  {func(t *testing.T, f tlsFolder) { remove(t, f.list) }, list, "LIST: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := newTLSFolder(t)
			a, problems := folder.flags().access()
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			before := holding(a)
			logged := a.watchedInFakeTime(t, func() {
				tt.replace(t, folder)
				severalLooks()
			})
			if changed := !holding(a).equal(before); changed != (tt.problem == "") {
				t.Errorf("it has changed who may call, or what quash shows: %t", changed)
			}
			want := fmt.Sprintf("level=INFO msg=%q\n", tt.what+" is replaced")
			if tt.problem != "" {
				path := strings.NewReplacer("CERT", folder.cert, "KEY", folder.key, "CAS", folder.cas, "LIST", folder.list)
				want = fmt.Sprintf("level=ERROR msg=%q err=\"%s", tt.what+" is not replaced", path.Replace(tt.problem))
			}
			if !strings.HasPrefix(logged, want) || strings.Count(logged, "\n") != 1 {
				t.Errorf("logged\n%s, want one line:\n%s", logged, want)
			}
		})
	}
}

// watchedInFakeTime runs run while the files are watched as serve does, and returns
// what was logged, without the time.
func (a access) watchedInFakeTime(t *testing.T, run func()) string {
	t.Helper()
	var logged strings.Builder
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}}))
	synctest.Test(t, func(t *testing.T) {
		err := watching(t.Context(), logger, a.watched, func(context.Context) error { run(); return nil })
		if err != nil {
			t.Error(err)
		}
	})
	return logged.String()
}

// severalLooks lets the files be looked at more than once, so that what is told once
// is not told again. It returns between two looks.
func severalLooks() {
	time.Sleep(5 * reloadInterval)
	synctest.Wait()
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// Whatever is wrong with the files, no line of a key is told.
func TestProblemsTellNothingOfTheKey(t *testing.T) {
	t.Parallel()
	good := newTLSFolder(t)
	_, secret := pkitest.PEM(newServerPair(time.Time{}))
	dir := t.TempDir()
	var files []string
	for i, content := range [][]byte{
		secret, secret[:len(secret)/2], secret[40:], []byte(strings.ReplaceAll(string(secret), "PRIVATE KEY", "CERTIFICATE")),
		[]byte(strings.ReplaceAll(string(secret), "PRIVATE", "ENCRYPTED PRIVATE")), []byte(strings.ReplaceAll(string(secret), "\n", " ")),
	} {
		file := filepath.Join(dir, fmt.Sprint("file", i))
		put(t, file, content)
		files = append(files, file)
	}
	body := strings.Split(string(secret), "\n")[1]
	for _, file := range files {
		for name, flags := range map[string]*tlsFlags{
			"certificate": {CertFile: fileName(file), KeyFile: fileName(good.key)},
			"key":         {CertFile: fileName(good.cert), KeyFile: fileName(file)},
			"both":        {CertFile: fileName(file), KeyFile: fileName(file)},
			"authorities": {CertFile: fileName(good.cert), KeyFile: fileName(good.key), ClientCAFile: fileName(file)},
			"list":        {CertFile: fileName(good.cert), KeyFile: fileName(good.key), ClientCAFile: fileName(good.cas), AllowedCallersFile: fileName(file)},
		} {
			_, problems := flags.access()
			if len(problems) != 1 {
				t.Errorf("%s: %q, want one problem", name, problems)
			}
			for i := 0; i+6 <= len(body); i++ {
				if run := body[i : i+6]; strings.Contains(strings.Join(problems, "\n"), run) {
					t.Errorf("%s: %q tells %q of the key", name, problems, run)
				}
			}
		}
	}
}
