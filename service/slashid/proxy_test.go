package slashid_test

import (
	"context"
	"encoding/base64"
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
	"github.com/quashdev/quash/service/slashid"
)

const (
	proxyPassword = "the-proxy-password"
	proxyURL      = "http://the-proxy-user:" + proxyPassword + "@proxy.test:3128"
)

// asked is what a proxy was asked for, and with which credentials.
func asked(req *http.Request) string {
	credentials, _ := strings.CutPrefix(req.Header.Get("Proxy-Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(credentials)
	return req.Method + " " + req.RequestURI + " " + string(decoded)
}

// A proxy connects to SlashID. Its refusals are the cause; its words and its credentials
// are not in it.
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
	for _, tt := range []struct {
		name, scheme string
		script       func(*peerConn)
		cause        string // "" where the token is revoked
	}{
		{"HTTP/1.1", "http", connect(tunnel, overTLS(certificate(), "http/1.1", answering(204))), ""},
		{"HTTP/2", "http", connect(tunnel, overTLS(certificate(), "h2", answering(204))), ""},
		{
			"over TLS with another certificate", "https", overTLS(certificate(), "http/1.1", connect(tunnel, nil)),
			"connect to the proxy: x509: the certificate is for other names than proxy.test",
		},
		{"wrong credentials", "http", connect("HTTP/1.1 407 "+proxyPassword+"\nContent-Length: 0\n\n", nil), "status 407"},
		{"a target that cannot be reached", "http", connect("HTTP/1.1 503 "+proxyPassword+"\n\n"+page, nil), "status 503"},
		{"a redirect", "http", connect("HTTP/1.1 302 Found\nLocation: http://"+proxyPassword+"\n\n", nil), "status 302"},
		{"another success", "http", connect("HTTP/1.1 204 "+proxyPassword+"\n\n", nil), "status 204"},
		{"no HTTP", "http", connect(proxyPassword+"\n\n", nil), "left out"},
		{"no TLS beyond", "http", connect(tunnel+proxyPassword, nil), "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://slashid.test")
			peer := connectPeer(t, client, tt.script)
			client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr != "proxy.test:3128" {
					t.Errorf("%s is dialed", addr)
				}
				return peer.dial(ctx, network, addr)
			})
			proxy, _ := url.Parse(proxyURL)
			proxy.Scheme = tt.scheme
			client.ProxyThrough(proxy)

			result := revoke(t, client, aRequest())

			if tt.cause == "" {
				checkRevoked(t, result)
				return
			}
			if checkNoAnswer(t, result, false); !strings.Contains(result.Err.Error(), tt.cause) {
				t.Errorf("got %v, want %s", result.Err, tt.cause)
			}
			if trace := secrettest.Trace(result.Err.Error(), proxyPassword); trace != "" {
				t.Errorf("%q is in %v", trace, result.Err)
			}
		})
	}
}

// A proxy forwards requests to a SlashID without TLS. Its answers count like those of
// any other proxy on the way.
func TestProxyWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusNoContent, http.StatusProxyAuthRequired} {
		got := ""
		client := newClient(t, "http://slashid.test")
		connectPeer(t, client, func(c *peerConn) {
			got = asked(c.readRequest())
			c.answer(0, status)
		})
		proxy, _ := url.Parse(proxyURL)
		client.ProxyThrough(proxy)
		if result, want := revoke(t, client, aRequest()), (slashid.Result{Status: status, Sent: true}); result != want {
			t.Errorf("got %+v, want %+v", result, want)
		}
		if want := "POST http://slashid.test/token/revoke the-proxy-user:" + proxyPassword; got != want {
			t.Errorf("the proxy was asked for %s, want %s", got, want)
		}
	}
}

// The environment names the proxy. What it says is not quoted if it cannot be used.
// net/http reads it once per process, so each case is a process of its own.
func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	const isChild = "QUASH_TEST_PROXY_CHILD"
	if os.Getenv(isChild) != "" {
		client := newClient(t, "https://slashid.test")
		client.DialThrough(func(_ context.Context, _, addr string) (net.Conn, error) {
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
