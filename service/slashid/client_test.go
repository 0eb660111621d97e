package slashid_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/internal/secrettest"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/service/slashid"
)

const (
	// envelope is SlashID's body of every answer but 204.
	envelope = `{"meta": {"pagination": {"limit": 0, "offset": 0, "total_count": 0}},` +
		` "errors": [{"httpcode": 408, "message": "some text"}]}`
	// page is what the proxies between answer with.
	page = "<html><body><h1>Something went wrong</h1></body></html>"
)

func TestRevokeTellsWhatTheStatusMeans(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		body   string
		want   slashid.Kind
	}{
		{204, "", slashid.Revoked},

		{400, envelope, slashid.TokenRejected},
		{400, "", slashid.Unexpected},
		{401, envelope, slashid.Unauthorized},
		{403, envelope, slashid.Forbidden},
		{429, envelope, slashid.RateLimited},

		{408, envelope, slashid.InProgress},
		{408, `{"meta": {}, "errors": []}`, slashid.InProgress},
		{408, "", slashid.OpaqueTimeout},
		{408, page, slashid.OpaqueTimeout},
		{408, `{"message": "Request Timeout"}`, slashid.OpaqueTimeout},

		{500, envelope, slashid.Unavailable},
		{502, page, slashid.Unavailable},
		{503, "", slashid.Unavailable},
		{504, page, slashid.Unavailable},

		// A captive portal, a login page, another API: none has revoked anything.
		{200, page, slashid.Unexpected},
		{201, `{"result": "token"}`, slashid.Unexpected},
		{202, "", slashid.Unexpected},
		{205, "", slashid.Unexpected},
		{304, "", slashid.Unexpected},
		{404, envelope, slashid.Unexpected},
		{405, "", slashid.Unexpected},
		{409, envelope, slashid.Unexpected},
		{413, page, slashid.Unexpected},
		{418, "", slashid.Unexpected},
		{501, page, slashid.Unexpected},
		{505, "", slashid.Unexpected},
		{599, page, slashid.Unexpected},
		{999, "", slashid.Unexpected},
	} {
		t.Run(fmt.Sprintf("%d %.20s", tc.status, tc.body), func(t *testing.T) {
			t.Parallel()
			server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})

			got := revoke(t, newClient(t, server.URL, nil), aRequest())

			want := slashid.Result{Kind: tc.want, Status: tc.status, Sent: true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// One by one: the statuses that mean something are those of the list, and no
// other has a meaning guessed into it.
func TestRevokeExpectsNoOtherStatus(t *testing.T) {
	t.Parallel()
	meaningful := map[int]slashid.Kind{
		204: slashid.Revoked,
		400: slashid.Unexpected, 401: slashid.Unauthorized, 403: slashid.Forbidden,
		408: slashid.OpaqueTimeout, 429: slashid.RateLimited,
		500: slashid.Unavailable, 502: slashid.Unavailable, 503: slashid.Unavailable, 504: slashid.Unavailable,
	}
	var status atomic.Int32
	server := startServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	client := newClient(t, server.URL, nil)
	for code := 200; code < 600; code++ {
		want, ok := meaningful[code]
		if !ok {
			want = slashid.Unexpected
		}
		status.Store(int32(code))
		if got := revoke(t, client, aRequest()); got.Kind != want || got.Status != code || !got.Sent {
			t.Errorf("%d: got %+v, want %v", code, got, want)
		}
	}
}

// A redirect would carry the token to a host that nobody chose.
func TestRevokeFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var followed atomic.Bool
			elsewhere := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				followed.Store(true)
				w.WriteHeader(http.StatusNoContent)
			})
			server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL+"/token/revoke")
				w.WriteHeader(status)
			})

			got := revoke(t, newClient(t, server.URL, nil), aRequest())

			want := slashid.Result{Kind: slashid.Unexpected, Status: status, Sent: true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if followed.Load() {
				t.Error("the redirect was followed")
			}
		})
	}
}

// sentRequest is what of a request arrives.
type sentRequest struct {
	Method, URI, Host string
	Header            http.Header
	Body              string
}

// recordRequest sends req below basePath and returns what arrived.
func recordRequest(t *testing.T, basePath string, req slashid.Request) sentRequest {
	t.Helper()
	var got sentRequest
	server := startServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request's body: %v", err)
		}
		got = sentRequest{r.Method, r.RequestURI, r.Host, r.Header, string(body)}
		w.WriteHeader(http.StatusNoContent)
	})
	if result := revoke(t, newClient(t, server.URL+basePath, nil), req); result.Kind != slashid.Revoked {
		t.Fatalf("got %+v", result)
	}
	if want := strings.TrimPrefix(server.URL, "http://"); got.Host != want {
		t.Errorf("Host: got %q, want %q", got.Host, want)
	}
	got.Host = ""
	return got
}

// The headers are compared as a whole: one that is not listed must not be sent.
// Above all no Accept-Encoding, since a compressed body would not be read, and no
// Idempotency-Key, with which net/http would send the request twice.
func TestRevokeSendsSlashIDsRequest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		req        slashid.Request
		wantHeader http.Header
	}{
		{
			name: "no more than needed",
			req:  aRequest(),
			wantHeader: http.Header{
				"Accept":                               {"application/json"},
				"Content-Length":                       {"80"},
				"Content-Type":                         {"application/json"},
				"User-Agent":                           {"quash"},
				"Slashid-Required-Consistency":         {"local_region"},
				"Slashid-Required-Consistency-Timeout": {"30"},
			},
		},
		{
			name: "everything",
			req: slashid.Request{
				Token:       slashid.NewSecret(token),
				Consistency: slashid.AllRegions,
				Timeout:     120 * time.Second,
				SDKVersion:  "1.4.1",
				Credentials: slashid.Credentials{
					APIKey:        slashid.NewSecret("the-api-key"),
					Authorization: slashid.NewSecret("Bearer the-user-token"),
					OrgID:         "the-organisation",
				},
			},
			wantHeader: http.Header{
				"Accept":                               {"application/json"},
				"Authorization":                        {"Bearer the-user-token"},
				"Content-Length":                       {"80"},
				"Content-Type":                         {"application/json"},
				"User-Agent":                           {"quash"},
				"Slashid-Api-Key":                      {"the-api-key"},
				"Slashid-Orgid":                        {"the-organisation"},
				"Slashid-Required-Consistency":         {"all_regions"},
				"Slashid-Required-Consistency-Timeout": {"120"},
				"Slashid-Sdkversion":                   {"1.4.1"},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := recordRequest(t, "", tc.req)
			want := sentRequest{
				Method: http.MethodPost,
				URI:    "/token/revoke",
				Header: tc.wantHeader,
				Body:   `{"token":"` + token + `"}`,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRevokeSendsTheTokenAsItIs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a", "a.b.c", "-_.~+/=", `with "quotes" and \ and <tags> & more`, strings.Repeat("x", 16<<10),
	} {
		req := aRequest()
		req.Token = slashid.NewSecret(text)
		var got map[string]string
		if err := json.Unmarshal([]byte(recordRequest(t, "", req).Body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"token": text}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestRevokeGoesBelowTheBaseURL(t *testing.T) {
	t.Parallel()
	for basePath, want := range map[string]string{
		"":           "/token/revoke",
		"/":          "/token/revoke",
		"/sandbox":   "/sandbox/token/revoke",
		"/sandbox/":  "/sandbox/token/revoke",
		"/a/b//":     "/a/b/token/revoke",
		"/a%2Fb/":    "/a%2Fb/token/revoke",
		"/token":     "/token/token/revoke",
		"/with%20sp": "/with%20sp/token/revoke",
	} {
		if got := recordRequest(t, basePath, aRequest()).URI; got != want {
			t.Errorf("base path %q: got %q, want %q", basePath, got, want)
		}
	}
}

func TestRevokeSendsWholeSeconds(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]string{
		time.Second:             "1",
		1999 * time.Millisecond: "1",
		90 * time.Second:        "90",
		2*time.Minute - 1:       "119",
		2 * time.Minute:         "120",
		45*time.Second + 1:      "45",
	} {
		req := aRequest()
		req.Timeout = timeout
		if got := recordRequest(t, "", req).Header.Get(slashid.HeaderConsistencyTimeout); got != want {
			t.Errorf("%v: got %q, want %q", timeout, got, want)
		}
	}
}

func TestRevokeReadsRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		status  int
		header  []string
		want    time.Duration
		wantSet bool
	}{
		{"absent", 429, nil, 0, false},
		{"seconds", 429, []string{"7"}, 7 * time.Second, true},
		{"seconds between spaces", 429, []string{" 7 "}, 7 * time.Second, true},
		{"none at all", 429, []string{"0"}, 0, true},
		{"a date long ago", 429, []string{"Sun, 06 Nov 1994 08:49:37 GMT"}, 0, true},
		{"a date far ahead", 429, []string{"Fri, 06 Nov 2893 08:49:37 GMT"}, slashid.MaxRetryAfter, true},
		{"unreadable", 429, []string{"soon"}, 0, false},
		{"the first of two", 429, []string{"3", "9"}, 3 * time.Second, true},
		{"with another status", 503, []string{"7"}, 7 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Retry-After"] = tc.header
				w.WriteHeader(tc.status)
			})
			got := revoke(t, newClient(t, server.URL, nil), aRequest())
			if got.RetryAfter != tc.want || got.RetryAfterSet != tc.wantSet {
				t.Errorf("got %v, %t, want %v, %t", got.RetryAfter, got.RetryAfterSet, tc.want, tc.wantSet)
			}
		})
	}
}

func TestRevokePassesOnlyASafeCorrelationID(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, header, want string
	}{
		{"absent", "", ""},
		{"a UUID", "0b5dc2a4-5a0e-4b2a-93c5-6c1d7d8e2f10", "0b5dc2a4-5a0e-4b2a-93c5-6c1d7d8e2f10"},
		{"every printable edge", "!~", "!~"},
		{"the longest", strings.Repeat("c", 128), strings.Repeat("c", 128)},
		{"one longer", strings.Repeat("c", 129), ""},
		{"a space", "a b", ""},
		{"a tab", "a\tb", ""},
		{"beyond ASCII", "caf\u00e9", ""},
		{"invalid UTF-8", "a\xffb", ""},
		{"the token", token, ""},
		{"the token inside", "id-" + token + "-id", ""},
		{"the token's header", "id-" + tokenHeader, ""},
		{"the token's claims", tokenClaims, ""},
		{"the token's signature", tokenSignature + "-id", ""},
		{"in hex", "a" + hex.EncodeToString([]byte(tokenClaims[:20])), ""},
		{"in base64", "ab" + base64.StdEncoding.EncodeToString([]byte(tokenClaims[3:20])), ""},
		{"in base64 for URLs", base64.URLEncoding.EncodeToString([]byte(tokenHeader[:18])), ""},
		{"a claim", `"sub":"person-1"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client, _ := newPeer(t, func(c *peerConn) {
				c.answerEach("HTTP/1.1 400 Bad Request\nslashid-correlation-id: " + tc.header + "\nContent-Length: 0\n\n")
			})
			got := revoke(t, client, aRequest())
			want := slashid.Result{
				Kind: slashid.Unexpected, Status: http.StatusBadRequest, Sent: true, CorrelationID: tc.want,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Connections are dear: whatever the answer, its body is read to the end so that
// the next call finds the connection idle.
func TestRevokeReusesTheConnection(t *testing.T) {
	t.Parallel()
	answers := []struct {
		status int
		body   string
	}{
		{204, ""},
		{400, envelope},
		{401, strings.Repeat("x", slashid.MaxBody-1)},
		{408, envelope},
		{408, page},
		{429, ""},
		{503, strings.Repeat(page, 100)},
		{200, page},
		{307, ""},
	}
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1":          (*httptest.Server).Start,
		"HTTP/1.1 over TLS": startTLS,
		"HTTP/2":            startHTTP2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			var made *atomic.Int32
			server := startServerAs(t, func(w http.ResponseWriter, _ *http.Request) {
				answer := answers[int(requests.Add(1)-1)%len(answers)]
				w.WriteHeader(answer.status)
				_, _ = io.WriteString(w, answer.body)
			}, func(server *httptest.Server) {
				made = countConnections(server)
				start(server)
			})
			client := newClient(t, server.URL, nil)
			if server.TLS != nil {
				client = newClient(t, server.URL, authorityOf(server))
			}

			for range 2 * len(answers) {
				want := answers[int(requests.Load())%len(answers)].status
				if got := revoke(t, client, aRequest()); got.Status != want {
					t.Fatalf("got %+v, want status %d", got, want)
				}
			}
			if n := made.Load(); n != 1 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

// An endless body costs what is read of it and its connection, no more.
func TestRevokeLeavesAnEndlessBody(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]slashid.Kind{
		200: slashid.Unexpected,
		400: slashid.Unexpected,
		408: slashid.OpaqueTimeout,
		503: slashid.Unavailable,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var taken int
				gone := make(chan struct{})
				client, peer := newPeer(t, func(c *peerConn) {
					c.readRequest()
					if c.number > 1 {
						c.answer("HTTP/1.1 204 No Content\n\n")
						c.waitForClose()
						return
					}
					defer close(gone)
					c.answer(fmt.Sprintf("HTTP/1.1 %d\nTransfer-Encoding: chunked\n\n", status))
					for c.answer("400\n" + strings.Repeat("{", 0x400) + "\n") {
						taken += 0x400
					}
				})
				start := time.Now()

				got := revoke(t, client, aRequest())

				if got.Kind != want || !got.Sent {
					t.Errorf("got %+v, want %v", got, want)
				}
				if elapsed := time.Since(start); elapsed != 0 {
					t.Errorf("it took %v", elapsed)
				}
				<-gone
				if most := 3 * slashid.MaxBody; taken > most {
					t.Errorf("%d bytes were taken, more than %d", taken, most)
				}
				if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
					t.Errorf("the next call: %+v", got)
				}
				if n := peer.connections(); n != 2 {
					t.Errorf("%d connections were made, want 2", n)
				}
			})
		})
	}
}

// Over HTTP/2 only the stream is given up.
func TestRevokeLeavesAnEndlessBodyOverHTTP2(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	var made *atomic.Int32
	server := startServerAs(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) > 1 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		for {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}, func(server *httptest.Server) {
		made = countConnections(server)
		startHTTP2(server)
	})
	client := newClient(t, server.URL, authorityOf(server))

	if got := revoke(t, client, aRequest()); got.Kind != slashid.Unexpected {
		t.Errorf("got %+v", got)
	}
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
		t.Errorf("the next call: %+v", got)
	}
	if n := made.Load(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
}

// Where the status says all, a body that does not come is not waited for.
func TestRevokeDoesNotWaitForABody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing of it comes":                             "HTTP/1.1 400 Bad Request\nContent-Length: 100\n\n",
		"half of it comes":                                "HTTP/1.1 400 Bad Request\nContent-Length: 100\n\n{\"meta\"",
		"its end does not come":                           "HTTP/1.1 400 Bad Request\nTransfer-Encoding: chunked\n\n2\n{}\n",
		"it ends with the connection, which does not end": "HTTP/1.1 400 Bad Request\n\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := newPeer(t, func(c *peerConn) {
					c.readRequest()
					c.answer(answer)
					c.waitForClose()
				})
				start := time.Now()

				got := revoke(t, client, aRequest())

				want := slashid.Result{Kind: slashid.Unexpected, Status: http.StatusBadRequest, Sent: true}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if elapsed := time.Since(start); elapsed > slashid.BodyPatience {
					t.Errorf("it took %v", elapsed)
				}
			})
		})
	}
}

// Of a 408 and a 400 the body makes the difference, so it is waited for, but not
// for ever.
func TestRevokeWaitsForTheBodyOf408(t *testing.T) {
	t.Parallel()
	const deadline = 10 * time.Second
	half := len(envelope) / 2
	for _, tc := range []struct {
		name    string
		script  func(*peerConn)
		want    slashid.Kind
		elapsed time.Duration
	}{
		{
			name: "it comes slowly",
			script: func(c *peerConn) {
				c.answer(fmt.Sprintf("HTTP/1.1 408 Request Timeout\nContent-Length: %d\n\n", len(envelope)))
				time.Sleep(2 * time.Second)
				c.answer(envelope[:half])
				time.Sleep(2 * time.Second)
				c.answer(envelope[half:])
			},
			want:    slashid.InProgress,
			elapsed: 4 * time.Second,
		},
		{
			name: "it is whole, but is not ended",
			script: func(c *peerConn) {
				c.answer("HTTP/1.1 408 Request Timeout\nContent-Length: 1000\n\n" + envelope)
				c.waitForClose()
			},
			want:    slashid.InProgress,
			elapsed: slashid.BodyPatience,
		},
		{
			name: "half of it comes",
			script: func(c *peerConn) {
				c.answer(fmt.Sprintf("HTTP/1.1 408 Request Timeout\nContent-Length: %d\n\n", len(envelope)))
				c.answer(envelope[:half])
				c.waitForClose()
			},
			want:    slashid.OpaqueTimeout,
			elapsed: slashid.BodyPatience,
		},
		{
			name: "half of it comes, then the connection ends",
			script: func(c *peerConn) {
				c.answer(fmt.Sprintf("HTTP/1.1 408 Request Timeout\nContent-Length: %d\n\n", len(envelope)))
				c.answer(envelope[:half])
			},
			want: slashid.OpaqueTimeout,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := newPeer(t, func(c *peerConn) {
					c.readRequest()
					tc.script(c)
				})
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				start := time.Now()

				got := client.Revoke(ctx, aRequest())

				want := slashid.Result{Kind: tc.want, Status: http.StatusRequestTimeout, Sent: true}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if elapsed := time.Since(start); elapsed != tc.elapsed {
					t.Errorf("it took %v, want %v", elapsed, tc.elapsed)
				}
			})
		})
	}
}

func TestRevokeSkipsInformationalAnswers(t *testing.T) {
	t.Parallel()
	client, _ := newPeer(t, func(c *peerConn) {
		c.answerEach("HTTP/1.1 100 Continue\n\n" +
			"HTTP/1.1 102 Processing\n\n" +
			"HTTP/1.1 103 Early Hints\nLink: </style.css>\n\n" +
			"HTTP/1.1 204 No Content\n\n")
	})
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked || got.Status != http.StatusNoContent {
		t.Errorf("got %+v", got)
	}
}

func TestRevokeEndsAFloodOfInformationalAnswers(t *testing.T) {
	t.Parallel()
	hint := "HTTP/1.1 103 Early Hints\nLink: " + strings.Repeat("x", 64<<10) + "\n\n"
	var taken int
	client, peer := newPeer(t, func(c *peerConn) {
		c.readRequest()
		for c.answer(hint) {
			taken += len(hint)
		}
	})

	checkNoAnswer(t, revoke(t, client, aRequest()), slashid.ConnectionLost, true)

	peer.scripts.Wait()
	if taken > 32<<20 {
		t.Errorf("%d bytes were taken", taken)
	}
}

// 204 allows no body; over HTTP/1.1 one that comes spoils only its connection.
func TestRevokeTakes204WithABody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"announced":   "HTTP/1.1 204 No Content\nContent-Length: 2\nConnection: close\n\n{}",
		"unannounced": "HTTP/1.1 204 No Content\nConnection: close\n\n{}",
		"chunked":     "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\nConnection: close\n\n2\n{}\n0\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, peer := newPeer(t, func(c *peerConn) { c.answerEach(answer) })
			for range 2 {
				got := revoke(t, client, aRequest())
				want := slashid.Result{Kind: slashid.Revoked, Status: http.StatusNoContent, Sent: true}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			if n := peer.connections(); n != 2 {
				t.Errorf("%d connections were made, want 2", n)
			}
		})
	}
}

func TestRevokeConcurrently(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*httptest.Server){"HTTP/1.1": startTLS, "HTTP/2": startHTTP2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServerAs(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(slashid.HeaderCorrelationID, r.Header.Get(slashid.HeaderSDKVersion))
				w.WriteHeader(http.StatusNoContent)
			}, start)
			client := newClient(t, server.URL, authorityOf(server))

			var calls sync.WaitGroup
			for i := range 40 {
				calls.Go(func() {
					req := aRequest()
					req.SDKVersion = fmt.Sprintf("1.0.%d", i)
					got := client.Revoke(t.Context(), req)
					want := slashid.Result{
						Kind: slashid.Revoked, Status: http.StatusNoContent, Sent: true, CorrelationID: req.SDKVersion,
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
				})
			}
			calls.Wait()
		})
	}
}

// brokenAnswers are answers that net/http cannot read and quotes in its errors;
// SECRET stands for what the peer sends back of the request.
var brokenAnswers = []string{
	"SECRET\n\n",
	"HTTP/1.1 SECRET\n\n",
	"HTTP/1.1 SECRET \n\n",
	"HTTP/SECRET 204 No Content\n\n",
	"HTTP/1.1 2SECRET04 No Content\n\n",
	"HTTP/1.1 200 OK\nSECRET\n\n",
	"HTTP/1.1 200 OK\n: SECRET\n\n",
	"HTTP/1.1 200 OK\nContent-Length: SECRET\n\n",
	"HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: SECRET\n\n",
	"HTTP/1.1 200 OK\nTransfer-Encoding: SECRET\n\n",
}

// A peer that answers with what it got finds none of it in an error's text.
func TestRevokeErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	const apiKey = "an-api-key-of-the-organisation"
	req := aRequest()
	req.Credentials = slashid.Credentials{
		APIKey:        slashid.NewSecret(apiKey),
		Authorization: slashid.NewSecret("Bearer " + token),
	}
	for name, secret := range map[string]string{
		"token":         token,
		"header":        tokenHeader,
		"claims":        tokenClaims,
		"signature":     tokenSignature,
		"API key":       apiKey,
		"authorization": "Bearer " + token,
		"request body":  `{"token":"` + token + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, broken := range brokenAnswers {
				client, _ := newPeer(t, func(c *peerConn) {
					c.readRequest()
					c.answer(strings.ReplaceAll(broken, "SECRET", secret))
				})

				got := revoke(t, client, req)

				checkNoAnswer(t, got, slashid.ConnectionLost, true)
				for _, text := range []string{fmt.Sprint(got.Err), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got.Err)} {
					if tellsToken(text) || strings.Contains(text, apiKey) {
						t.Errorf("%q is told in %q", broken, text)
					}
				}
			}
		})
	}
}

func TestRevokeErrorsHoldNoSecretOverHTTP2(t *testing.T) {
	t.Parallel()
	client := startHTTP2Peer(t, func(c http2Conn) {
		stream := c.readRequest()
		c.goAway(stream, codeInternalError, token)
	})

	got := revoke(t, client, aRequest())

	checkNoAnswer(t, got, slashid.ConnectionLost, true)
	if text := fmt.Sprintf("%+v %#v", got, got.Err); tellsToken(text) {
		t.Errorf("the token is told in %q", text)
	}
}

// A certificate is shown before there is a request, but perhaps not before the last
// one: what stands in it is not told.
func TestRevokeErrorsHoldNoNameOfACertificate(t *testing.T) {
	t.Parallel()
	expired := "current time 2026-11-23T00:00:00Z is after 2026-11-22T00:00:00Z"
	for want, wrong := range map[string]error{
		"x509: the certificate is for other names than slashid.test": x509.HostnameError{
			Certificate: &x509.Certificate{DNSNames: []string{token}}, Host: "slashid.test",
		},
		"x509: certificate signed by unknown authority": x509.UnknownAuthorityError{
			Cert: &x509.Certificate{Subject: pkix.Name{CommonName: token}},
		},
		"x509: a root or intermediate certificate is not authorized to sign for this name: see the certificate": x509.CertificateInvalidError{
			Reason: x509.CANotAuthorizedForThisName, Detail: token,
		},
		"x509: certificate has expired or is not yet valid: " + expired: x509.CertificateInvalidError{
			Cert: &x509.Certificate{DNSNames: []string{token}}, Reason: x509.Expired, Detail: expired,
		},
		"tls: the certificate cannot be verified": errors.New(token),
	} {
		client, _ := newPeer(t, func(*peerConn) {})
		client.DialThrough(func(context.Context, string, string) (net.Conn, error) {
			return nil, &tls.CertificateVerificationError{Err: wrong}
		})
		got := revoke(t, client, aRequest())
		checkNoAnswer(t, got, slashid.NotConnected, false)
		if got.Err.Error() != want {
			t.Errorf("the cause is %q, want %q", got.Err, want)
		}
		if text := fmt.Sprintf("%+v %#v", got, got.Err); tellsToken(text) {
			t.Errorf("the token is told in %q", text)
		}
	}
}

// What a peer had no hand in is shown: whoever runs quash needs the cause.
func TestRevokeErrorsTellTheCause(t *testing.T) {
	t.Parallel()
	for want, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"lookup slashid.invalid: no such host": func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "slashid.invalid", IsNotFound: true}
		},
		"dial tcp: connection refused": func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		},
	} {
		client, _ := newPeer(t, func(*peerConn) {})
		client.DialThrough(dial)
		got := revoke(t, client, aRequest())
		checkNoAnswer(t, got, slashid.NotConnected, false)
		if got.Err.Error() != want {
			t.Errorf("the cause is %q, want %q", got.Err, want)
		}
	}
}

// Credentials are told as little as tokens are.
func TestCredentialsAreNotTold(t *testing.T) {
	t.Parallel()
	req := aRequest()
	req.Credentials.APIKey = slashid.NewSecret("an-api-key-of-the-organisation")
	req.Credentials.Authorization = slashid.NewSecret("Bearer an-opaque-access-token")
	for _, s := range []string{"an-api-key-of-the-organisation", "an-opaque-access-token", token, tokenClaims} {
		client, _ := newPeer(t, func(c *peerConn) {
			c.answerEach("HTTP/1.1 401 Unauthorized\nslashid-correlation-id: " + s + "\nContent-Length: 0\n\n")
		})
		if got := revoke(t, client, req); got.CorrelationID != "" {
			t.Errorf("as correlation id: %q", got.CorrelationID)
		}
		client, _ = newPeer(t, func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 " + s + "\n\n")
		})
		if text := fmt.Sprint(revoke(t, client, req).Err); strings.Contains(text, s) {
			t.Errorf("as error: %q", text)
		}
	}
}

// After a 101 the body is the bare connection, which no context ends.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := newPeer(t, func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n")
			time.Sleep(time.Hour)
		})
		begun := time.Now()
		got := revoke(t, client, aRequest())
		if got.Kind != slashid.Unexpected || time.Since(begun) > time.Second {
			t.Errorf("after %s: %+v", time.Since(begun), got)
		}
	})
}

// Commit has the last word on whether the token goes out.
func TestCommit(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		received := make(chan struct{}, 1)
		client, _ := newPeer(t, func(c *peerConn) {
			if c.readRequest() != nil {
				received <- struct{}{}
			}
			c.answer(revoked)
		})
		req := aRequest()
		req.Commit = func() bool { return commit }
		got := revoke(t, client, req)
		if commit {
			if got.Kind != slashid.Revoked || !got.Sent {
				t.Errorf("committed: %+v", got)
			}
			continue
		}
		if got.Kind != slashid.KeptBack || got.Sent || len(received) > 0 {
			t.Errorf("kept back: %+v, received %d", got, len(received))
		}
	}
}

// Whatever bytes a peer answers with, the result is one of a kind and tells no
// secret, not even a piece of one.
func FuzzRevokeAnswer(f *testing.F) {
	const apiKey = "an-api-key-of-the-organisation"
	req := aRequest()
	req.Credentials.APIKey = slashid.NewSecret(apiKey)
	req.Credentials.Authorization = slashid.NewSecret("Bearer " + token)
	for _, broken := range brokenAnswers {
		for _, secret := range []string{token, tokenClaims[4:16], apiKey, apiKey[7:19]} {
			f.Add(strings.NewReplacer("SECRET", secret, "\n", "\r\n").Replace(broken))
		}
	}
	for _, status := range []int{0, 99, 100, 101, 103, 200, 204, 302, 400, 401, 403, 408, 429, 500, 599, 999} {
		f.Add(fmt.Sprintf("HTTP/1.1 %03d\r\nRetry-After: 5\r\nSlashid-Correlation-Id: %s\r\n\r\n%s", status, tokenClaims, envelope))
	}
	for _, status := range []int{400, 408} {
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\n\r\n%s", status, page))
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\nContent-Length: 9999\r\n\r\n%s", status, envelope))
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", status, len(envelope), envelope))
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\nSlashid-Correlation-Id: %s\r\n\r\n", status, apiKey[3:]))
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\nSlashid-Correlation-Id: 7f0c\xe9\x00\r\nRetry-After: -1\r\n\r\n", status))
	}
	f.Add("")
	f.Add("HTTP/1.0 204\r\n\r\n")
	f.Add("HTTP/1.1 103\r\n\r\nHTTP/1.1 204\r\n\r\n")
	f.Add("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n" + token)
	f.Add("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.test/" + token + "\r\n\r\n")
	f.Fuzz(func(t *testing.T, answer string) {
		client, p := newPeer(t, func(c *peerConn) {
			c.readRequest()
			_, _ = io.WriteString(c, answer)
		})

		got := revoke(t, client, req)

		if p.connections() != 1 {
			t.Errorf("it was sent over %d connections", p.connections())
		}
		switch {
		case !got.Sent:
			t.Errorf("the peer read the request: %+v", got)
		case got.Err != nil:
			checkNoAnswer(t, got, slashid.ConnectionLost, true)
		default:
			checkAnswer(t, got)
		}
		text := fmt.Sprintf("%+v %v %#v", got, got.Err, got.Err)
		if tellsToken(text) {
			t.Errorf("the token is told in %q", text)
		}
		for _, secret := range []string{token, apiKey, "Bearer " + token} {
			if run := secrettest.SharedRun(text, secret); run != "" {
				t.Errorf("%q is told in %q", run, text)
			}
		}
	})
}

// checkAnswer checks what is true of every result of an answer.
func checkAnswer(t *testing.T, got slashid.Result) {
	t.Helper()
	kinds := map[int][]slashid.Kind{
		204: {slashid.Revoked},
		400: {slashid.TokenRejected, slashid.Unexpected},
		401: {slashid.Unauthorized},
		403: {slashid.Forbidden},
		408: {slashid.InProgress, slashid.OpaqueTimeout},
		429: {slashid.RateLimited},
		500: {slashid.Unavailable},
		502: {slashid.Unavailable},
		503: {slashid.Unavailable},
		504: {slashid.Unavailable},
	}
	want, known := kinds[got.Status]
	if !known {
		want = []slashid.Kind{slashid.Unexpected}
	}
	if !slices.Contains(want, got.Kind) {
		t.Errorf("%d is taken for %s", got.Status, got.Kind)
	}
	if got.RetryAfter < 0 || got.RetryAfter > slashid.MaxRetryAfter || !got.RetryAfterSet && got.RetryAfter != 0 {
		t.Errorf("Retry-After: %v, %t", got.RetryAfter, got.RetryAfterSet)
	}
	if len(got.CorrelationID) > 128 || strings.ContainsFunc(got.CorrelationID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Errorf("correlation id %q", got.CorrelationID)
	}
}
