package slashid

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/net/proxy"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer makes connections to SlashID, through the proxy that the environment names for
// it.
type dialer struct {
	url   *url.URL
	dial  dialFunc
	proxy func() (*url.URL, error)
	tls   *tls.Config
}

// connect returns a connection that is ready for a protocol.
func (d *dialer) connect(ctx context.Context) (conn net.Conn, protocol string, err error) {
	host := asciiHost(d.url)
	conn, err = d.reach(ctx, net.JoinHostPort(host, portOf(d.url)))
	if err != nil || d.url.Scheme != "https" {
		return conn, "", err
	}
	config := d.tls.Clone()
	config.ServerName = host
	secure, err := shakeHands(ctx, conn, config)
	if err != nil {
		return nil, "", err
	}
	return secure, secure.ConnectionState().NegotiatedProtocol, nil
}

// asciiHost is a URL's host as DNS and HTTP have it.
func asciiHost(u *url.URL) string {
	host, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil {
		return u.Hostname() // an address, or a name that only a resolver can judge
	}
	return host
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// shakeHands makes a connection secure, or closes it.
func shakeHands(ctx context.Context, conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// reach returns a connection to an address, through a proxy where there is one.
func (d *dialer) reach(ctx context.Context, addr string) (net.Conn, error) {
	via, err := d.proxy()
	if err != nil {
		return nil, errProxyURL // its text has the proxy's password
	}
	if via == nil {
		return d.dial(ctx, "tcp", addr)
	}
	switch via.Scheme {
	case "socks5", "socks5h":
		return d.throughSOCKS(ctx, via, addr)
	case "http", "https":
		return d.tunnel(ctx, via, addr)
	default:
		return nil, errProxyURL
	}
}

var errProxyURL = fault("the proxy that the environment names is none that can be used: it must be http, https or socks5")

func (d *dialer) throughSOCKS(ctx context.Context, via *url.URL, addr string) (net.Conn, error) {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	port := via.Port()
	if port == "" {
		port = "1080"
	}
	var conn net.Conn // what DialContext returns hides it from isSilent
	socks, err := proxy.SOCKS5("tcp", net.JoinHostPort(via.Hostname(), port), auth,
		dialFunc(func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
			conn, err = d.dial(ctx, network, addr)
			return conn, err
		}))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := socks.(proxy.ContextDialer).DialContext(ctx, "tcp", addr); err != nil { //nolint:forcetypeassert // so its documentation says
		return nil, err
	}
	return conn, nil
}

// Dial implements [proxy.Dialer], for DialContext's sake.
func (f dialFunc) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

// DialContext implements [proxy.ContextDialer].
func (f dialFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

// tunnel has an HTTP proxy connect to an address (RFC 9110 section 9.3.6), also for http,
// where most clients would have it read the requests.
func (d *dialer) tunnel(ctx context.Context, via *url.URL, addr string) (net.Conn, error) {
	conn, err := d.dial(ctx, "tcp", net.JoinHostPort(via.Hostname(), portOf(via)))
	if err != nil {
		return nil, fmt.Errorf("connect to the proxy: %w", err)
	}
	if via.Scheme == "https" {
		secure, err := shakeHands(ctx, conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.tls.RootCAs, ServerName: via.Hostname()})
		if err != nil {
			return nil, fmt.Errorf("connect to the proxy: %w", err)
		}
		conn = secure
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	if err := askForTunnel(conn, via.User, addr); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

func askForTunnel(conn net.Conn, user *url.Userinfo, addr string) error {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: quash\r\n"
	if user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxBody))
	//nolint:bodyclose // what follows is the tunnel's
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || reader.Buffered() > 0 {
		return errTunnel
	}
	return nil
}

var errTunnel = fault("the proxy does not connect to SlashID")
