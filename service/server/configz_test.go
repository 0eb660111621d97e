package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

// shownConfig is what /configz answers with.
type shownConfig struct {
	Build     string                   `json:"build"`
	LogLevel  string                   `json:"log_level"`
	Listeners map[string]shownListener `json:"listeners"`
	Settings  any                      `json:"settings"`
}

type shownListener struct {
	Address string    `json:"address"`
	TLS     *shownTLS `json:"tls"`
	Callers string    `json:"callers"`
}

type shownTLS struct {
	MinVersion         string    `json:"min_version"`
	ClientCertificates bool      `json:"client_certificates"`
	CertificateExpires time.Time `json:"certificate_expires"`
}

// config asks for /configz, over TLS where secure is not nil.
func (f *facade) config(t *testing.T, secure *tls.Config) (config shownConfig, text string) {
	t.Helper()
	url := f.adminURL("/configz")
	if secure != nil {
		f.http = &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
		url = strings.Replace(url, "http:", "https:", 1)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, body := f.do(t, req)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "application/json" {
		t.Fatalf("%s, %q: %s", resp.Status, got, body)
	}
	if err := json.Unmarshal(body, &config); err != nil {
		t.Fatal(err)
	}
	return config, string(body)
}

// A listener is shown as it serves, whatever it was told.
func TestConfigzListeners(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	cert := newServerCertificate(ca)
	serverTLS := &server.TLS{Certificate: func() *tls.Certificate { return cert }}
	older, mutual := *serverTLS, *serverTLS
	older.MinVersion = tls.VersionTLS12
	mutual.ClientCAs = func() *x509.CertPool { return pkitest.Pool(ca) }
	shown := func(version string, clients bool) *shownTLS {
		return &shownTLS{version, clients, cert.Leaf.NotAfter.UTC()}
	}
	for name, tt := range map[string]struct {
		configure func(*server.Config)
		calls     shownListener
		admin     *shownTLS
	}{
		"plaintext": {func(*server.Config) {}, shownListener{Callers: "everyone"}, nil},
		"TLS 1.2": {
			func(cfg *server.Config) { cfg.TLS = &older },
			shownListener{TLS: shown("TLS 1.2", false), Callers: "everyone"},
			nil,
		},
		"TLS, admin too": {
			func(cfg *server.Config) { cfg.TLS, cfg.AdminTLS = &mutual, serverTLS },
			shownListener{TLS: shown("TLS 1.3", true), Callers: "whoever has a certificate of the client authorities"},
			shown("TLS 1.3", false),
		},
		"a list": {
			func(cfg *server.Config) { cfg.TLS, cfg.AllowedCallers = &mutual, allowedCallers(t, "*") },
			shownListener{TLS: shown("TLS 1.3", true), Callers: "those on the list"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) { tt.configure(cfg) })
			var secure *tls.Config
			if tt.admin != nil {
				secure = &tls.Config{RootCAs: pkitest.Pool(ca)}
			}
			config, _ := f.config(t, secure)
			grpc, rest := tt.calls, tt.calls
			grpc.Address, rest.Address = f.addrs.GRPC.String(), f.addrs.HTTP.String()
			want := map[string]shownListener{
				"grpc": grpc, "http": rest,
				"admin": {Address: f.addrs.Admin.String(), TLS: tt.admin, Callers: "everyone"},
			}
			if diff := cmp.Diff(want, config.Listeners); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What can change is shown as it is now.
func TestConfigzNow(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	var cert atomic.Pointer[tls.Certificate]
	cert.Store(newServerCertificate(ca))
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.TLS = &server.TLS{Certificate: cert.Load}
		cfg.LogLevel.Set(slog.LevelWarn)
		cfg.Settings = map[string]string{"said": "by the command"}
	})
	if config, text := f.config(t, nil); config.LogLevel != "warn" || config.Build != "/version" || !cmp.Equal(config.Settings, any(map[string]any{"said": "by the command"})) {
		t.Error(text)
	}
	expires := time.Now().Add(2 * time.Hour).Truncate(time.Second).UTC()
	cert.Store(new(ca.Issue(&x509.Certificate{NotAfter: expires})))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.adminURL("/loglevel"), strings.NewReader("error"))
	if err != nil {
		t.Fatal(err)
	}
	f.do(t, req)
	if config, text := f.config(t, nil); config.LogLevel != "error" || !config.Listeners["grpc"].TLS.CertificateExpires.Equal(expires) {
		t.Error(text)
	}
}

// The server has keys and lists in its hands. None of them comes out.
func TestConfigzKeepsSecrets(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	cert := newServerCertificate(ca)
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.TLS = &server.TLS{Certificate: func() *tls.Certificate { return cert }, ClientCAs: func() *x509.CertPool { return pkitest.Pool(ca) }}
		cfg.AllowedCallers = allowedCallers(t, "spiffe://example.org/ns/prod/sa/billing\n")
	})
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	searcher := secrettest.NewSearcher(
		secrettest.Secret{Name: "the private key", Text: string(key)},
		secrettest.Secret{Name: "the API key", Text: testAPIKey},
		secrettest.Secret{Name: "a caller's name", Text: "example.org/ns/prod/sa/billing"},
	)
	_, text := f.config(t, nil)
	if what, at := searcher.Find(text); what != "" {
		t.Errorf("there is %s: %q", what, text[at:])
	}
}

// Settings that are no JSON are somebody's mistake, and not the end of the page.
func TestConfigzOfWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.Settings = func() {}
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.adminURL("/configz"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := f.do(t, req); resp.StatusCode != http.StatusInternalServerError || string(body) != "the configuration cannot be shown\n" {
		t.Errorf("%s: %q", resp.Status, body)
	}
}
