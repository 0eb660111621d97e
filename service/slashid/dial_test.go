package slashid_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"

	"github.com/quashdev/quash/service/slashid"
)

const (
	proxyUser     = "the-proxy-user"
	proxyPassword = "the-proxy-password"
)

// proxied is what a proxy in a test was asked for.
type proxied struct{ target, user, password string }

// connectProxy answers CONNECT with a status, and is the target from then on.
func connectProxy(got chan<- proxied, answer string, target func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		req := c.readRequest()
		if req == nil {
			return
		}
		asked := proxied{target: req.Method + " " + req.Host}
		credentials, _ := strings.CutPrefix(req.Header.Get("Proxy-Authorization"), "Basic ")
		decoded, _ := base64.StdEncoding.DecodeString(credentials)
		asked.user, asked.password, _ = strings.Cut(string(decoded), ":")
		got <- asked
		if c.answer(answer) && strings.HasPrefix(answer, "HTTP/1.1 200") {
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
		asked.target = "CONNECT " + host + ":" + map[uint16]string{443: "443", 80: "80"}[binary.BigEndian.Uint16(port)]
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
	const tunnel = "HTTP/1.1 200 Connection established\n\n"
	http1 := overTLS("http/1.1", func(c *peerConn) { c.answerEach(revoked) })
	http2 := overTLS("h2", func(c *peerConn) {
		if p := aFramePeer(c); p.greet() {
			p.revokeEach()
		}
	})
	credentials := url.UserPassword(proxyUser, proxyPassword)
	for _, tt := range []struct {
		name    string
		via     *url.URL
		proxy   func(chan<- proxied) func(*peerConn)
		dialled string
		asked   proxied
		want    slashid.Kind
		cause   string
	}{
		{
			"http", &url.URL{Scheme: "http", Host: "proxy.test"},
			func(got chan<- proxied) func(*peerConn) { return connectProxy(got, tunnel, http2) },
			"proxy.test:80",
			proxied{"CONNECT slashid.test:443", "", ""},
			slashid.Revoked, "",
		},
		{
			"http with credentials", &url.URL{Scheme: "http", Host: "proxy.test:3128", User: credentials},
			func(got chan<- proxied) func(*peerConn) { return connectProxy(got, tunnel, http1) },
			"proxy.test:3128",
			proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword},
			slashid.Revoked, "",
		},
		{
			"an IPv6 address", &url.URL{Scheme: "http", Host: "[::1]:3128"},
			func(got chan<- proxied) func(*peerConn) { return connectProxy(got, tunnel, http1) },
			"[::1]:3128",
			proxied{"CONNECT slashid.test:443", "", ""},
			slashid.Revoked, "",
		},
		{
			"https", &url.URL{Scheme: "https", Host: "slashid.test", User: credentials},
			func(got chan<- proxied) func(*peerConn) { return overTLS("http/1.1", connectProxy(got, tunnel, http2)) },
			"slashid.test:443",
			proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword},
			slashid.Revoked, "",
		},
		{
			"https with another certificate", &url.URL{Scheme: "https", Host: "proxy.test", User: credentials},
			func(got chan<- proxied) func(*peerConn) { return overTLS("http/1.1", connectProxy(got, tunnel, http2)) },
			"proxy.test:443",
			proxied{},
			slashid.NotConnected, "other names than proxy.test",
		},
		{
			"SOCKS5", &url.URL{Scheme: "socks5", Host: "proxy.test"},
			func(got chan<- proxied) func(*peerConn) { return socksProxy(got, 0, http2) },
			"proxy.test:1080",
			proxied{"CONNECT slashid.test:443", "", ""},
			slashid.Revoked, "",
		},
		{
			"SOCKS5 with credentials", &url.URL{Scheme: "socks5h", Host: "proxy.test:1081", User: credentials},
			func(got chan<- proxied) func(*peerConn) { return socksProxy(got, 0, http1) },
			"proxy.test:1081",
			proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword},
			slashid.Revoked, "",
		},
		{
			"SOCKS5 that refuses", &url.URL{Scheme: "socks5", Host: "proxy.test", User: credentials},
			func(got chan<- proxied) func(*peerConn) { return socksProxy(got, 2, nil) },
			"proxy.test:1080",
			proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword},
			slashid.NotConnected, "connection not allowed",
		},
		{
			"wrong credentials", &url.URL{Scheme: "http", Host: "proxy.test", User: credentials},
			func(got chan<- proxied) func(*peerConn) {
				return connectProxy(got, "HTTP/1.1 407 "+proxyPassword+"\nContent-Length: 0\n\n", nil)
			},
			"proxy.test:80",
			proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword},
			slashid.NotConnected, "the proxy does not connect",
		},
		{
			"no HTTP", &url.URL{Scheme: "http", Host: "proxy.test", User: credentials},
			func(got chan<- proxied) func(*peerConn) { return connectProxy(got, proxyPassword+"\n\n", nil) },
			"proxy.test:80",
			proxied{"CONNECT slashid.test:443", proxyUser, proxyPassword},
			slashid.NotConnected, "withheld",
		},
		{
			"more than was asked for", &url.URL{Scheme: "http", Host: "proxy.test"},
			func(got chan<- proxied) func(*peerConn) {
				return connectProxy(got, tunnel+"more", (*peerConn).waitForClose)
			},
			"proxy.test:80",
			proxied{"CONNECT slashid.test:443", "", ""},
			slashid.NotConnected, "the proxy does not connect",
		},
		{
			"an endless answer", &url.URL{Scheme: "http", Host: "proxy.test"},
			func(got chan<- proxied) func(*peerConn) {
				return connectProxy(got, "HTTP/1.1 200 OK\nX: "+strings.Repeat("x", 1<<20), (*peerConn).waitForClose)
			},
			"proxy.test:80",
			proxied{"CONNECT slashid.test:443", "", ""},
			slashid.NotConnected, "EOF",
		},
		{
			"another kind", &url.URL{Scheme: "ftp", Host: "proxy.test", User: credentials},
			func(chan<- proxied) func(*peerConn) { return (*peerConn).waitForClose },
			"",
			proxied{},
			slashid.NotConnected, "must be http, https or socks5",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan proxied, 1)
			client, peer := newTLSPeer(t, "", nil)
			peer.script = tt.proxy(got)
			dialled := ""
			client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled = addr
				return peer.dial(ctx, network, addr)
			})
			client.ProxyThrough(tt.via)
			result := revoke(t, client, aRequest())
			if result.Kind != tt.want || result.Sent != (tt.want == slashid.Revoked) {
				t.Errorf("got %+v", result)
			}
			if result.Err != nil && (tellsProxy(result.Err) || !strings.Contains(result.Err.Error(), tt.cause)) {
				t.Errorf("got %v, want %s", result.Err, tt.cause)
			}
			close(got)
			if asked := <-got; dialled != tt.dialled || asked != tt.asked {
				t.Errorf("%s was asked for %+v", dialled, asked)
			}
		})
	}
}

// An idle connection that its peer has closed is not used, whatever it goes through.
func TestStaleConnectionIsNotUsed(t *testing.T) {
	t.Parallel()
	got := make(chan proxied, 10)
	const tunnel = "HTTP/1.1 200 OK\n\n"
	for name, tt := range map[string]struct {
		via  *url.URL
		over func(func(*peerConn)) func(*peerConn)
	}{
		"no proxy": {nil, func(target func(*peerConn)) func(*peerConn) { return target }},
		"https": {&url.URL{Scheme: "https", Host: "slashid.test"}, func(target func(*peerConn)) func(*peerConn) {
			return overTLS("http/1.1", connectProxy(got, tunnel, target))
		}},
		"SOCKS5": {&url.URL{Scheme: "socks5", Host: "slashid.test"}, func(target func(*peerConn)) func(*peerConn) {
			return socksProxy(got, 0, target)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serveAll(t, listener, tt.over(overTLS("http/1.1", func(c *peerConn) {
				if c.number > 1 {
					c.answerEach(revoked)
					return
				}
				c.readRequest()
				c.answer(revoked)
				_ = c.Close()
				close(closed)
			})))
			client := newClient(t, "https://slashid.test", slashidTestCAs())
			client.DialThrough(func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
			})
			client.ProxyThrough(tt.via)
			wantAll(t, beginAll(t, client, 1), slashid.Revoked)
			<-closed
			wantAll(t, beginAll(t, client, 1), slashid.Revoked)
		})
	}
}

// The host is named as DNS and HTTP have it.
func TestHostOfRequests(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ base, dialled, host string }{
		{"http://slashid.test", "slashid.test:80", "slashid.test"},
		{"http://SlashID.test:8080", "slashid.test:8080", "slashid.test:8080"},
		{"http://slashid.test:", "slashid.test:80", "slashid.test"},
		{"http://bücher.test/base", "xn--bcher-kva.test:80", "xn--bcher-kva.test"},
		{"http://my_service.test", "my_service.test:80", "my_service.test"},
		{"http://192.0.2.1:81", "192.0.2.1:81", "192.0.2.1:81"},
		{"http://[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::1]"},
		{"http://[fe80::1%25eth0]:81", "[fe80::1%eth0]:81", "[fe80::1]:81"},
	} {
		t.Run(tt.base, func(t *testing.T) {
			t.Parallel()
			hosts := make(chan string, 1)
			client, peer := newPeerAt(t, tt.base, func(c *peerConn) {
				if req, err := http.ReadRequest(c.reader); err == nil {
					hosts <- req.Host
					_, _ = io.Copy(io.Discard, req.Body)
					c.answer(revoked)
				}
			})
			var dialled string
			client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled = addr
				return peer.dial(ctx, network, addr)
			})
			if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
				t.Errorf("got %+v", got)
			}
			if host := <-hosts; host != tt.host || dialled != tt.dialled {
				t.Errorf("%s is asked for %s, want %s for %s", dialled, host, tt.dialled, tt.host)
			}
		})
	}
}

// injecting is a propagator of what no header can hold.
type injecting struct{ propagation.TextMapPropagator }

func (injecting) Inject(_ context.Context, carrier propagation.TextMapCarrier) {
	carrier.Set("x-trace", "1\r\nSlashid-Orgid: another")
	carrier.Set("x y", "1")
	carrier.Set("x-good", "1")
}

func TestTraceHeadersThatHTTPCannotHold(t *testing.T) {
	t.Parallel()
	u, err := slashid.ParseBaseURL("http://slashid.test")
	if err != nil {
		t.Fatal(err)
	}
	client := slashid.New(slashid.Config{BaseURL: u, Telemetry: slashid.Telemetry{Propagator: injecting{}}})
	t.Cleanup(client.Close)
	heads := make(chan http.Header, 1)
	p := &peer{script: func(c *peerConn) {
		if req := c.readRequest(); req != nil {
			heads <- req.Header
			c.answer(revoked)
		}
	}}
	t.Cleanup(p.close)
	client.DialThrough(p.dial)
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
		t.Fatalf("got %+v", got)
	}
	if head := <-heads; head.Get("Slashid-Orgid") != "" || head.Get("X-Trace") != "" || head.Get("X-Good") != "1" {
		t.Errorf("got %v", head)
	}
}

// A panic of Commit's is that of its attempt, and of no other.
func TestPanicOfCommit(t *testing.T) {
	t.Parallel()
	for protocol, script := range revokingEach {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			client, _ := newTLSPeer(t, protocol, script)
			const cause = "a defect"
			req := aRequest()
			req.Commit = func() bool { panic(cause) }
			a := client.Begin(t.Context(), req)
			<-a.Done()
			func() {
				defer func() {
					if got, ok := recover().(*slashid.Panicked); !ok || got.Value != any(cause) {
						t.Errorf("it is no panic with the defect: %t", ok)
					}
				}()
				a.Result()
			}()
			wantAll(t, beginAll(t, client, 1), slashid.Revoked)
		})
	}
}
