package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A fault comes before every check of a call. Other endpoints consume no fault.
func TestFaultsAnswerInOrder(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	script(t, s, Fault{Status: 503, Count: 2}, Fault{Count: 1}, Fault{Status: 429})
	wantStatus(t, call(t, s, http.MethodPost, "/token/validate", tokenBody(token)), http.StatusOK)
	if got := call(t, s, http.MethodPost, "/token/revoke", "{").Code; got != 503 {
		t.Errorf("without credentials: status %d", got)
	}
	for i, want := range []int{503, 204, 429, 400} {
		if got := revoke(t.Context(), s, token).Code; got != want {
			t.Errorf("call %d: status %d, want %d", i+1, got, want)
		}
	}
}

func TestFaultsAnswerAsScripted(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for name, tt := range map[string]struct {
		fault Fault
		want  map[string]string // headers
	}{
		"JSON": {
			Fault{Status: 429, Headers: map[string]string{"Retry-After": "1"}, Body: `{"errors":[]}`},
			map[string]string{"Retry-After": "1", "Content-Type": "application/json"},
		},
		"another type": {
			Fault{Status: 408, Headers: map[string]string{"Content-Type": "text/plain"}, Body: `{}`},
			map[string]string{"Content-Type": "text/plain"},
		},
		"no correlation id": {
			Fault{Status: 502, Headers: map[string]string{correlationIDHeader: ""}, Body: "<html>"},
			map[string]string{correlationIDHeader: ""},
		},
	} {
		script(t, s, tt.fault)
		token := mint(t, s, MintOptions{})
		w := revoke(t.Context(), s, token)
		if w.Code != tt.fault.Status || w.Body.String() != tt.fault.Body {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		for header, want := range tt.want {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		wantRevoked(t, s, token)
	}
}

func TestApplyRevokesForReal(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	script(t, s, Fault{Status: 502, Apply: true, Count: 3})
	for i, key := range []string{"unknown", DefaultAPIKey, DefaultAPIKey} {
		w := serve(s, newRequest(t.Context(), http.MethodPost, "/token/revoke", tokenBody(token), apiKeyHeader, key))
		if w.Code != 502 {
			t.Errorf("status %d", w.Code)
		}
		if i == 0 {
			wantRevoked(t, s, token)
		} else {
			wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
		}
	}
}

func TestDelayComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: 5 * time.Second})
		for _, tt := range []struct {
			fault   Fault
			status  int
			elapsed time.Duration
		}{
			{Fault{Delay: 2 * time.Second}, 204, 7 * time.Second},
			{Fault{Delay: 2 * time.Second, Status: 503}, 503, 2 * time.Second},
			{Fault{Delay: 2 * time.Second, Status: 503, Apply: true}, 503, 2 * time.Second},
		} {
			script(t, s, tt.fault)
			token := mint(t, s, MintOptions{})
			time.AfterFunc(time.Second, func() { wantRevoked(t, s, token) })
			begun := time.Now()
			w := revoke(t.Context(), s, token, consistencyHeader, allRegions)
			if elapsed := time.Since(begun); w.Code != tt.status || elapsed != tt.elapsed {
				t.Errorf("%+v: %d after %v, want %d after %v", tt.fault, w.Code, elapsed, tt.status, tt.elapsed)
			}
		}
	})
}

func TestDelayEndsWhenTheClientDisconnects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		script(t, s, Fault{Delay: time.Hour, Status: 503, Apply: true})
		token := mint(t, s, MintOptions{})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		begun := time.Now()
		revoke(ctx, s, token)
		if elapsed := time.Since(begun); elapsed != time.Second {
			t.Errorf("ended after %v, want 1s", elapsed)
		}
		wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
	})
}

func TestScriptRefuses(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]Fault{
		"count -1 is negative":                {Count: -1},
		"delay -1s is negative":               {Delay: -time.Second},
		"status 100 is outside 200 to 599":    {Status: 100},
		"status 600 is outside 200 to 599":    {Status: 600},
		"reset and status exclude each other": {Reset: true, Status: 503},
		"apply needs reset or status":         {Apply: true},
		"headers need a status":               {Headers: map[string]string{"A": "b"}},
		"a body needs a status":               {Reset: true, Body: "x"},
		"an answer with status 204 has no":    {Status: 204, Body: "x"},
		`"a b" is not a header name`:          {Status: 503, Headers: map[string]string{"a b": "c"}},
		`"" is not a header name`:             {Status: 503, Headers: map[string]string{"": "c"}},
		`the value of header "A" has a`:       {Status: 503, Headers: map[string]string{"A": "b\r\nc"}},
	} {
		s := newSandbox(t, Config{})
		err := s.Script(Fault{Status: 503}, fault)
		if err == nil || !strings.Contains(err.Error(), "fault 2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", fault, err, want)
		}
		if n := len(s.Faults()); n != 0 {
			t.Errorf("%+v: %d faults of an invalid script were added", fault, n)
		}
	}
}

func TestResetAsTheClientSeesIt(t *testing.T) {
	t.Parallel()
	var http1, http2 http.Protocols
	http1.SetHTTP1(true)
	http2.SetUnencryptedHTTP2(true)
	for name, tt := range map[string]struct {
		protocols *http.Protocols
		encrypted bool
		isReset   func(error) bool
	}{
		"HTTP/1": {&http1, false, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		"HTTPS":  {&http1, true, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		"HTTP/2": {&http2, false, func(err error) bool { return strings.Contains(err.Error(), "INTERNAL_ERROR") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := newSandbox(t, Config{}), ""
			transport := &http.Transport{Protocols: tt.protocols}
			if tt.encrypted {
				server := httptest.NewTLSServer(s)
				t.Cleanup(server.Close)
				url = server.URL
				trusted := x509.NewCertPool()
				trusted.AddCert(server.Certificate())
				transport.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS13}
			} else {
				server := Start(t, Config{})
				s, url = server.Sandbox, server.URL
			}
			t.Cleanup(transport.CloseIdleConnections)
			post := func(token string) (*http.Response, error) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/token/revoke", strings.NewReader(tokenBody(token)))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set(apiKeyHeader, DefaultAPIKey)
				return transport.RoundTrip(r)
			}

			applied, lost := mint(t, s, MintOptions{}), mint(t, s, MintOptions{})
			script(t, s, Fault{Reset: true, Apply: true}, Fault{Reset: true})
			for _, token := range []string{applied, lost} {
				resp, err := post(token)
				if err == nil {
					_ = resp.Body.Close()
					t.Fatalf("status %d, want a reset", resp.StatusCode)
				}
				if !tt.isReset(err) {
					t.Errorf("%v is not a reset", err)
				}
			}
			wantRevoked(t, s, applied, "us-east", "eu-west", "ap-south")
			wantRevoked(t, s, lost)

			resp, err := post(lost)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent {
				t.Errorf("the next call: status %d, want 204", resp.StatusCode)
			}
		})
	}
}
