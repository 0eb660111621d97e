package slashid

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
)

const (
	proxyPassword = "the-proxy-password"
	proxyURL      = "http://the-proxy-user:" + proxyPassword + "@proxy.test:3128"
)

// asked is a request to a proxy, with its credentials.
func asked(req *http.Request) string {
	credentials, _ := strings.CutPrefix(req.Header.Get("Proxy-Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(credentials)
	return req.Method + " " + req.RequestURI + " " + string(decoded)
}

// A proxy connects to SlashID. If it rejects the connection, the cause says so, without the
// proxy's text and credentials.
func TestProxy(t *testing.T) {
	t.Parallel()
	const tunnel = "HTTP/1.1 200 Connection established\n\n"
	connect := func(answer string, then func(*peerConn)) func(*peerConn) {
		return func(c *peerConn) {
			if req := c.readRequest(); req == nil || asked(req) != "CONNECT slashid.test:443 the-proxy-user:"+proxyPassword {
				c.write("HTTP/1.1 418 \n\n")
			} else if c.write(answer); then != nil {
				then(c)
			}
		}
	}
	forward := func(status int) func(*peerConn) { // without TLS the proxy itself answers
		return func(c *peerConn) {
			if asked(c.readRequest()) == "POST http://slashid.test/token/revoke the-proxy-user:"+proxyPassword {
				c.answer(0, status)
			}
		}
	}
	noTLS := func(c *peerConn) {
		_, _ = c.reader.Peek(1)
		c.write(proxyPassword)
	}
	const secure, plain = "https://slashid.test", "http://slashid.test"
	for name, tt := range map[string]struct {
		baseURL, scheme string
		script          func(*peerConn)
		status          int
		cause           string
	}{
		"HTTP/1.1":                   {secure, "http", connect(tunnel, overTLS(certificate(), "http/1.1", answering(204))), 204, ""},
		"HTTP/2":                     {secure, "http", connect(tunnel, overTLS(certificate(), "h2", answering(204))), 204, ""},
		"without TLS":                {plain, "http", forward(204), 204, ""},
		"without TLS, not forwarded": {plain, "http", forward(407), 407, ""},
		"over TLS with another certificate": {
			secure, "https", overTLS(certificate(), "http/1.1", connect(tunnel, nil)), 0,
			"connect to the proxy: x509: the certificate is not valid for proxy.test",
		},
		"wrong credentials": {secure, "http", connect("HTTP/1.1 407 "+proxyPassword+"\nContent-Length: 0\n\n", nil), 0, "status 407"},
		"a redirect":        {secure, "http", connect("HTTP/1.1 302 Found\nLocation: http://"+proxyPassword+"\n\n", nil), 0, "status 302"},
		"another success":   {secure, "http", connect("HTTP/1.1 204 "+proxyPassword+"\n\n"+page, nil), 0, "status 204"},
		"no HTTP":           {secure, "http", connect(proxyPassword+"\n\n", nil), 0, "suppressed"},
		"no TLS beyond":     {secure, "http", connect(tunnel, noTLS), 0, "first record does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, tt.baseURL)
			proxy, _ := url.Parse(proxyURL)
			proxy.Scheme = tt.scheme
			client.proxy = http.ProxyURL(proxy)
			connectPeer(t, client, tt.script)

			result := revoke(t, client, aRequest())

			if tt.cause == "" {
				if want := (Result{Status: tt.status, Sent: true}); result != want {
					t.Errorf("got %+v, want %+v", result, want)
				}
				return
			}
			checkNoAnswer(t, result, false)
			text := fmt.Sprint(result.Err)
			if trace := secrettest.Trace(text, proxyPassword); trace != "" || !strings.Contains(text, tt.cause) {
				t.Errorf("got %s, want %s and nothing of the password (%q)", text, tt.cause, trace)
			}
		})
	}
}

// The environment names the proxy. An invalid value is not quoted. net/http reads the
// environment once per process, so each case runs in a new process.
func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	const isChild = "QUASH_TEST_PROXY_CHILD"
	if os.Getenv(isChild) != "" {
		client := newClient(t, "https://slashid.test")
		client.dialThrough(func(_ context.Context, _, addr string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial " + addr, Err: syscall.ECONNREFUSED}
		})
		t.Logf("the cause is %q", revoke(t, client, aRequest()).Err)
		return
	}
	for want, env := range map[string][]string{
		"dial slashid.test:443: connection refused":                      {"HTTPS_PROXY=" + proxyURL, "NO_PROXY=.test"},
		"connect to the proxy: dial proxy.test:3128: connection refused": {"HTTPS_PROXY=" + proxyURL},
		"connect to the proxy: dial proxy.test:1080: connection refused": {"https_proxy=socks5://user:" + proxyPassword + "@proxy.test"},
	} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyFromEnvironment$", "-test.v")
		child.Env = slices.Concat(env, []string{isChild + "=1", "GORACE=atexit_sleep_ms=0"})
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "the cause is \""+want) || strings.Contains(string(out), proxyPassword) {
			t.Errorf("%v: got %s, %v, want %q", env, out, err, want)
		}
	}
}
