package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// revokePath is the endpoint, below the base URL.
const revokePath = "/token/revoke"

// The request headers of SlashID's contract. Written in the canonical form of
// net/http; HTTP does not mind.
const (
	HeaderAPIKey             = "Slashid-Api-Key"
	HeaderAuthorization      = "Authorization"
	HeaderOrgID              = "Slashid-Orgid"
	HeaderSDKVersion         = "Slashid-Sdkversion"
	HeaderConsistency        = "Slashid-Required-Consistency"
	HeaderConsistencyTimeout = "Slashid-Required-Consistency-Timeout"

	// HeaderCorrelationID is the response header with SlashID's id for the
	// request.
	HeaderCorrelationID = "Slashid-Correlation-Id"
)

const (
	// maxBody is how much of an answer's body is read: SlashID's envelope takes
	// some hundred bytes.
	maxBody = 64 << 10
	// bodyPatience is how long an answer may take to finish its body once its
	// head is there. What a body can add to a status is not worth more.
	bodyPatience = 5 * time.Second
	// dialTimeout bounds the making of a connection, and then its TLS handshake.
	dialTimeout = 10 * time.Second
	// maxIdleConns is how many unused connections are kept for the next calls.
	maxIdleConns = 512
	idleTimeout  = 90 * time.Second
	// An HTTP/2 connection that is silent for pingAfter is asked for a sign of
	// life, and given up without one within pingTimeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

// Consistency is a value of the header SlashID-Required-Consistency.
type Consistency string

// The levels that SlashID knows.
const (
	LocalRegion Consistency = "local_region"
	AllRegions  Consistency = "all_regions"
)

// Request is one revocation to attempt.
type Request struct {
	Token       Secret
	Consistency Consistency
	// Timeout is the most time that SlashID shall wait for the consistency, in
	// whole seconds, 1 s to 120 s.
	Timeout time.Duration
	// SDKVersion is the calling SDK's version, passed on when not empty.
	SDKVersion  string
	Credentials Credentials

	// Commit is asked, when it is not nil, before the token is handed to a
	// connection. When it returns false the token is kept back, and the Result is
	// KeptBack.
	Commit func() bool
}

// Credentials are the headers that authenticate a request; an absent one is not
// sent.
type Credentials struct {
	APIKey        Secret // SlashID-API-Key
	Authorization Secret // Authorization, with its scheme
	OrgID         string // SlashID-OrgID
}

// Config says where SlashID is.
type Config struct {
	// BaseURL is SlashID's address without the endpoint's path, for instance
	// https://api.slashid.com; see ParseBaseURL.
	BaseURL *url.URL
	// RootCAs are the authorities that may vouch for SlashID; nil means the
	// system's.
	RootCAs *x509.CertPool

	Telemetry Telemetry
}

// Client talks to one SlashID. It is safe for concurrent use.
type Client struct {
	url       *url.URL
	transport *http.Transport
	// observed is transport, with a span and metrics to each request.
	observed http.RoundTripper
	traffic  *traffic
}

// New returns a client. Call Close when it is no longer needed.
func New(cfg Config) *Client {
	telemetry := cfg.Telemetry.orNothing()
	traffic := newTraffic(telemetry.Meters)
	c := &Client{
		url:     cfg.BaseURL.JoinPath(revokePath),
		traffic: traffic,
		transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         traffic.counted((&net.Dialer{Timeout: dialTimeout}).DialContext),
			TLSHandshakeTimeout: dialTimeout,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        maxIdleConns,
			MaxIdleConnsPerHost: maxIdleConns,
			IdleConnTimeout:     idleTimeout,
			DisableCompression:  true,
			// A connection that died silently would otherwise be given every call,
			// for as long as the operating system believes in it.
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
				// What is not read of an answer is not taken either.
				MaxReceiveBufferPerStream: maxBody,
			},
			// SlashID's headers take some hundred bytes.
			MaxResponseHeaderBytes: maxBody,
		},
	}
	c.observed = telemetry.observed(c.transport)
	return c
}

// ParseBaseURL reads a base URL: http or https, a host, perhaps a path, and
// nothing else. Whether http is acceptable is the caller's to decide.
func ParseBaseURL(text string) (*url.URL, error) {
	scheme, _, _ := strings.Cut(text, "://")
	if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
		return nil, errors.New("it must start with https:// (or http://)")
	}
	u, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse quotes the whole text, which may hold a password.
		return nil, errors.New("it is not a URL")
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("it names no host")
	case !isPort(u.Port()):
		return nil, errors.New("its port must be a number from 1 to 65535")
	case u.User != nil:
		return nil, errors.New("it must not hold credentials")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("it must not have a query or a fragment")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), revokePath):
		return nil, fmt.Errorf("it must not include the endpoint's path %s", revokePath)
	}
	return u, nil
}

func isPort(port string) bool {
	if port == "" {
		return true // the scheme's own
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// Close gives up the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Revoke attempts the revocation once, and returns when there is an answer or
// ctx ends, whichever is first.
func (c *Client) Revoke(ctx context.Context, req Request) Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.traffic.streams.Add(1)
	defer c.traffic.streams.Add(-1)
	httpReq, out, err := c.newHTTPRequest(ctx, req)
	if err != nil {
		return Result{Kind: NotConnected, Err: err}
	}
	// The transport itself rather than an http.Client: redirects are not followed,
	// since one would carry the token to a host that nobody chose.
	resp, err := c.observed.RoundTrip(httpReq)
	if err != nil {
		return withoutAnswer(ctx, out, err)
	}
	defer resp.Body.Close()
	result := Result{
		Status:        resp.StatusCode,
		Sent:          true,
		CorrelationID: req.correlationID(resp.Header),
	}
	result.RetryAfter, result.RetryAfterSet = parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	result.Kind = kindOf(resp.StatusCode)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The body is the bare connection, which no context ends.
		return result
	}
	defer time.AfterFunc(bodyPatience, cancel).Stop()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch { // the other statuses mean the same from anyone
	case resp.StatusCode == http.StatusBadRequest && isEnvelope(body):
		result.Kind = TokenRejected
	case resp.StatusCode == http.StatusRequestTimeout && isEnvelope(body):
		result.Kind = InProgress
	}
	return result
}

// newHTTPRequest makes the request, and its body.
func (c *Client) newHTTPRequest(ctx context.Context, req Request) (*http.Request, *outgoing, error) {
	body, err := json.Marshal(map[string]string{"token": req.Token.Reveal()})
	if err != nil {
		return nil, nil, fmt.Errorf("encode the request body: %w", err)
	}
	out := newOutgoing(body, req.Commit)
	httpReq, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), out)
	if err != nil {
		return nil, nil, fmt.Errorf("build the request: %w", err)
	}
	httpReq.ContentLength = int64(len(body))
	h := httpReq.Header
	h.Set("Accept", "application/json")
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "quash")
	h.Set(HeaderConsistency, string(req.Consistency))
	h.Set(HeaderConsistencyTimeout, strconv.FormatInt(int64(req.Timeout/time.Second), 10))
	setIfPresent(h, HeaderSDKVersion, req.SDKVersion)
	setIfPresent(h, HeaderAPIKey, req.Credentials.APIKey.Reveal())
	setIfPresent(h, HeaderAuthorization, req.Credentials.Authorization.Reveal())
	setIfPresent(h, HeaderOrgID, req.Credentials.OrgID)
	return httpReq, out, nil
}

func setIfPresent(h http.Header, key, value string) {
	if value != "" {
		h.Set(key, value)
	}
}

// kindOf is what a status means from anyone, SlashID or not.
func kindOf(status int) Kind {
	switch status {
	case http.StatusRequestTimeout:
		return OpaqueTimeout
	case http.StatusNoContent:
		return Revoked
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		return Forbidden
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unavailable
	default:
		return Unexpected
	}
}

// withoutAnswer is the result of an attempt that ended in err.
func withoutAnswer(ctx context.Context, out *outgoing, err error) Result {
	result := Result{Sent: out.sent.Load(), Err: err}
	switch {
	case out.keptBack.Load():
		result.Kind = KeptBack
	case errors.Is(ctx.Err(), context.Canceled):
		result.Kind = Cancelled
	case ctx.Err() != nil:
		result.Kind = NoAnswer
	case result.Sent:
		result.Kind = ConnectionLost
	default:
		result.Kind = NotConnected
	}
	return result
}
