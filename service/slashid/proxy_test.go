package slashid_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

const (
	proxyUser     = "the-proxy-user"
	proxyPassword = "the-proxy-password"
	tunnel        = "HTTP/1.1 200 Connection established\n\n"
)

// proxied is what a proxy in a test was asked for.
type proxied struct{ target, user, password string }

// connectProxy gives an answer to CONNECT, and is the target from then on.
func connectProxy(got chan<- proxied, answer string, target func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		req := c.readRequest()
		if req == nil {
			return
		}
		asked := proxied{target: req.Method + " " + req.RequestURI}
		credentials, _ := strings.CutPrefix(req.Header.Get("Proxy-Authorization"), "Basic ")
		decoded, _ := base64.StdEncoding.DecodeString(credentials)
		asked.user, asked.password, _ = strings.Cut(string(decoded), ":")
		got <- asked
		if c.answer(answer) && target != nil {
			target(c)
		}
	}
}

// socksProxy is the same for SOCKS5 (RFC 1928, RFC 1929).
func socksProxy(got chan<- proxied, code byte, target func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		var asked proxied
		text := func() string {
			size, err := c.reader.ReadByte()
			if err != nil {
				return ""
			}
			b := make([]byte, size)
			_, _ = io.ReadFull(c.reader, b)
			return string(b)
		}
		_, _ = c.reader.Discard(1)
		if strings.Contains(text(), "\x02") {
			_, _ = c.Write([]byte{5, 2})
			_, _ = c.reader.Discard(1)
			asked.user, asked.password = text(), text()
			_, _ = c.Write([]byte{1, 0})
		} else {
			_, _ = c.Write([]byte{5, 0})
		}
		_, _ = c.reader.Discard(4) // the version, "connect", nothing, "a name follows"
		host := text()
		port := make([]byte, 2)
		if _, err := io.ReadFull(c.reader, port); err != nil {
			return
		}
		asked.target = fmt.Sprintf("CONNECT %s:%d", host, binary.BigEndian.Uint16(port))
		got <- asked
		if _, err := c.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0}); err == nil && code == 0 {
			target(c)
		}
	}
}

// tellsProxy reports whether an error tells a proxy's credentials.
func tellsProxy(err error) bool {
	text := err.Error()
	return strings.Contains(text, proxyPassword) ||
		strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(proxyUser + ":" + proxyPassword))[8:20])
}

func TestProxies(t *testing.T) {
	t.Parallel()
	http1 := overTLS(certificate(), "http/1.1", answering("http/1.1", "204", nil))
	http2 := overTLS(certificate(), "h2", answering("h2", "204", nil))
	// connect is a proxy over HTTP, refuse one that only answers.
	connect := func(target func(*peerConn)) func(chan<- proxied) func(*peerConn) {
		return func(got chan<- proxied) func(*peerConn) { return connectProxy(got, tunnel, target) }
	}
	refuse := func(answer string) func(chan<- proxied) func(*peerConn) {
		return func(got chan<- proxied) func(*peerConn) { return connectProxy(got, answer, nil) }
	}
	secure := func(proxy func(chan<- proxied) func(*peerConn)) func(chan<- proxied) func(*peerConn) {
		return func(got chan<- proxied) func(*peerConn) { return overTLS(certificate(), "http/1.1", proxy(got)) }
	}
	socks := func(code byte, target func(*peerConn)) func(chan<- proxied) func(*peerConn) {
		return func(got chan<- proxied) func(*peerConn) { return socksProxy(got, code, target) }
	}
	const via = "://" + proxyUser + ":" + proxyPassword + "@"
	anonymous := proxied{"CONNECT slashid.test:443", "", ""}
	named := proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword}
	for _, tt := range []struct {
		name, via string
		proxy     func(chan<- proxied) func(*peerConn)
		dialed    string
		asked     proxied
		cause     string // "" where the token is revoked
	}{
		{"http", "http://proxy.test", connect(http2), "proxy.test:80", anonymous, ""},
		{"http with credentials", "http" + via + "proxy.test:3128", connect(http1), "proxy.test:3128", named, ""},
		{"an IPv6 address", "http://[::1]:3128", connect(http1), "[::1]:3128", anonymous, ""},
		{"https", "https" + via + "slashid.test", secure(connect(http2)), "slashid.test:443", named, ""},
		{"SOCKS5", "socks5://proxy.test", socks(0, http2), "proxy.test:1080", anonymous, ""},
		{"SOCKS5 with credentials", "socks5h" + via + "proxy.test:1081", socks(0, http1), "proxy.test:1081", named, ""},

		{
			"https with another certificate", "https" + via + "proxy.test", secure(connect(http2)),
			"proxy.test:443",
			proxied{},
			"connect to the proxy: x509: the certificate is for other names than proxy.test",
		},
		{
			"SOCKS5 that refuses", "socks5" + via + "proxy.test", socks(2, nil), "proxy.test:1080", named,
			"connection not allowed",
		},
		{
			"wrong credentials", "http" + via + "proxy.test", refuse("HTTP/1.1 407 " + proxyPassword + "\nContent-Length: 0\n\n"),
			"proxy.test:80", named, "status 407",
		},
		{
			"a target that is not allowed", "http" + via + "proxy.test", refuse("HTTP/1.1 403 " + proxyPassword + "\nContent-Length: 0\n\n"),
			"proxy.test:80", named, "status 403",
		},
		{
			"a target that cannot be reached", "http" + via + "proxy.test", refuse("HTTP/1.1 503 " + proxyPassword + "\n\n" + page),
			"proxy.test:80", named, "status 503",
		},
		{
			"a redirect", "http" + via + "proxy.test", refuse("HTTP/1.1 302 Found\nLocation: http://" + proxyPassword + "\n\n"),
			"proxy.test:80", named, "status 302",
		},
		{
			"another success", "http" + via + "proxy.test", refuse("HTTP/1.1 204 " + proxyPassword + "\n\n"),
			"proxy.test:80", named, "status 204",
		},
		{"no HTTP", "http" + via + "proxy.test", refuse(proxyPassword + "\n\n"), "proxy.test:80", named, "withheld"},
		{"no status", "http" + via + "proxy.test", refuse("HTTP/1.1 " + proxyPassword + "\n\n"), "proxy.test:80", named, "withheld"},
		{"no TLS beyond", "http" + via + "proxy.test", refuse(tunnel + proxyPassword), "proxy.test:80", named, "EOF"},
		{
			"an endless answer", "http" + via + "proxy.test", refuse("HTTP/1.1 200 OK\nX: " + strings.Repeat("x", 1<<20)),
			"proxy.test:80", named, "EOF",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan proxied, 10)
			client := newClient(t, "https://slashid.test")
			peer := connectPeer(t, client, tt.proxy(got))
			dialed := ""
			client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialed = addr
				return peer.dial(ctx, network, addr)
			})
			proxy, err := url.Parse(tt.via)
			if err != nil {
				t.Fatal(err)
			}
			client.ProxyThrough(proxy)

			result := revoke(t, client, aRequest())

			if tt.cause == "" {
				checkRevoked(t, result)
			} else {
				checkNoAnswer(t, result, false)
				if tellsProxy(result.Err) || !strings.Contains(result.Err.Error(), tt.cause) {
					t.Errorf("got %v, want %s", result.Err, tt.cause)
				}
			}
			close(got)
			if asked := <-got; dialed != tt.dialed || asked != tt.asked {
				t.Errorf("%s was asked for %+v", dialed, asked)
			}
		})
	}
}

// A proxy to which no connection can be made is the cause, not SlashID.
func TestProxyThatCannotBeReached(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://slashid.test")
	client.DialThrough(func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "proxy.test", IsNotFound: true}
	})
	client.ProxyThrough(&url.URL{Scheme: "http", Host: "proxy.test", User: url.UserPassword(proxyUser, proxyPassword)})
	got := revoke(t, client, aRequest())
	checkNoAnswer(t, got, false)
	if want := "connect to the proxy: lookup proxy.test: no such host"; got.Err.Error() != want {
		t.Errorf("the cause is %q, want %q", got.Err, want)
	}
}

// A proxy forwards requests to a SlashID without TLS. Its answers count like those of
// any other proxy on the way.
func TestProxyWithoutTLS(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]slashid.Result{
		revoked: {Status: http.StatusNoContent, Sent: true},
		"HTTP/1.1 407 Proxy Authentication Required\nContent-Length: 0\n\n": {Status: http.StatusProxyAuthRequired, Sent: true},
	} {
		got := make(chan proxied, 1)
		client := newClient(t, "http://slashid.test")
		connectPeer(t, client, connectProxy(got, answer, nil))
		client.ProxyThrough(&url.URL{Scheme: "http", Host: "proxy.test", User: url.UserPassword(proxyUser, proxyPassword)})
		if result := revoke(t, client, aRequest()); result != want {
			t.Errorf("got %+v, want %+v", result, want)
		}
		if asked, want := <-got, (proxied{"POST http://slashid.test/token/revoke", proxyUser, proxyPassword}); asked != want {
			t.Errorf("the proxy was asked for %+v, want %+v", asked, want)
		}
	}
}

// A proxy that does not answer leaves the request unsent.
func TestProxyThatSaysNothing(t *testing.T) {
	inBubbles(t, map[string]func(*peerConn){
		"http":   (*peerConn).waitForClose,
		"https":  overTLS(certificate(), "http/1.1", (*peerConn).waitForClose),
		"socks5": (*peerConn).waitForClose,
	}, func(t *testing.T, script func(*peerConn)) {
		_, scheme, _ := strings.Cut(t.Name(), "/")
		client := newClient(t, "https://slashid.test")
		connectPeer(t, client, script)
		client.ProxyThrough(&url.URL{Scheme: scheme, Host: "slashid.test"})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		checkNoAnswer(t, client.Revoke(ctx, aRequest()), false)
	})
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
		got := revoke(t, client, aRequest())
		checkNoAnswer(t, got, false)
		t.Logf("the cause is %q", got.Err)
		return
	}
	credentials := proxyUser + ":" + proxyPassword + "@"
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{[]string{"HTTP_PROXY=http://proxy.test"}, "dial slashid.test:443: connection refused"},
		{[]string{"HTTPS_PROXY=http://" + credentials + "proxy.test", "NO_PROXY=.test"}, "dial slashid.test:443: connection refused"},
		{[]string{"HTTPS_PROXY=http://" + credentials + "proxy.test:3128"}, "connect to the proxy: dial proxy.test:3128: connection refused"},
		{[]string{"https_proxy=socks5://" + credentials + "proxy.test"}, "connect to the proxy: dial proxy.test:1080: connection refused"},
		{[]string{"HTTPS_PROXY=http://" + credentials + "proxy.test/%zz"}, "dial slashid.test:443: connection refused"}, // net/http ignores it
	} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyFromEnvironment$", "-test.v")
		child.Env = slices.Concat(tt.env, []string{isChild + "=1", "GORACE=atexit_sleep_ms=0"})
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "the cause is \""+tt.want) {
			t.Errorf("%v: got %s, %v, want %q", tt.env, out, err, tt.want)
		}
		if strings.Contains(string(out), proxyPassword) {
			t.Errorf("%v: the password is told: %s", tt.env, out)
		}
	}
}
