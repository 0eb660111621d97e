package server_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// The token of these tests has the form of a JWT. Each part is long enough that finding it in
// an output proves a leak.
const (
	badInputHeader    = "eyJhbGciOiJFUzI1NiJ9"
	badInputClaims    = "eyJzdWIiOiJwZXJzb24tMSJ9"
	badInputSignature = "c2lnbmVkLWluLWEtdGVzdA"

	badInputToken = badInputHeader + "." + badInputClaims + "." + badInputSignature
)

// badUpstream answers every call with the same bad answer.
type badUpstream struct {
	url       string
	authority *x509.CertPool
	elsewhere string // another host's URL, which must not be called
	calls     atomic.Int32
	stray     atomic.Int32 // requests to elsewhere
	// written counts the bytes of responses that connections accepted.
	written atomic.Int64
}

// badAnswer writes a response to a call.
type badAnswer func(u *badUpstream, w http.ResponseWriter)

// raw responds with exactly these bytes. In the head, "\n" stands for "\r\n"; {elsewhere}
// stands for another host's URL.
func raw(head, body string) badAnswer {
	return func(u *badUpstream, w http.ResponseWriter) {
		text := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n" + body
		u.write(w, func(conn io.Writer) {
			_, _ = io.WriteString(conn, strings.ReplaceAll(text, "{elsewhere}", u.elsewhere))
		})
	}
}

// answerOf is raw with a Content-Length and Connection: close.
func answerOf(head, body string) badAnswer {
	return raw(fmt.Sprintf("%sContent-Length: %d\nConnection: close\n", head, len(body)), body)
}

// write hijacks the connection and closes it after the client has closed it.
func (u *badUpstream) write(w http.ResponseWriter, answer func(conn io.Writer)) {
	conn, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(64 << 10) // so that written bytes are close to received bytes
	}
	answer(&countingWriter{conn, &u.written})
	_, _ = io.Copy(io.Discard, rest)
}

type countingWriter struct {
	io.Writer

	n *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// flood writes the text until the client disconnects or limit bytes are written.
func flood(w io.Writer, text string, limit int) {
	chunk := []byte(strings.Repeat(text, max(1, 16<<10/len(text))))
	for n := 0; n < limit; n += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

const (
	tenMB = 10 << 20
	// mostOfABody is more than quash reads of any response plus the buffers on the way, and
	// far less than tenMB.
	mostOfABody = 2 << 20
)

// huge is an envelope of 10 MB.
func huge(statusCode int) badAnswer {
	return func(u *badUpstream, w http.ResponseWriter) {
		begin := fmt.Sprintf(`{"meta":{},"errors":[{"httpcode":%d,"message":"`, statusCode)
		const end = `"}]}`
		u.write(w, func(conn io.Writer) {
			fmt.Fprintf(conn, "HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				statusCode, len(begin)+tenMB+len(end), begin)
			flood(conn, badInputToken, tenMB)
			_, _ = io.WriteString(conn, end)
		})
	}
}

// hugeOverHTTP2 is huge from an HTTP/2 server.
func hugeOverHTTP2(statusCode int) badAnswer {
	return func(u *badUpstream, w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(statusCode)
		out := &countingWriter{w, &u.written}
		fmt.Fprintf(out, `{"meta":{},"errors":[{"httpcode":%d,"message":"`, statusCode)
		flood(out, badInputToken, tenMB)
		_, _ = io.WriteString(out, `"}]}`)
	}
}

func quoting(statusCode int) string {
	return fmt.Sprintf(`{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":%d,"message":"no such token: %s"}]}`,
		statusCode, badInputToken)
}

const (
	envelope408 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":408,"message":"later"}]}`
	htmlPage    = "<!DOCTYPE html><title>" + badInputToken + "</title>"
	jsonHead    = "Content-Type: application/json\n"
	htmlHead    = "Content-Type: text/html\n"
	// telltale has the token in every response header that quash reads.
	telltale = "Slashid-Correlation-Id: " + badInputToken + "\nRetry-After: " + badInputToken + "\n"
)

var badInputCases = []struct {
	name   string
	http2  bool
	answer badAnswer

	want     quashtest.Answers
	attempts int32 // 0 means one
	// most is the maximum number of bytes read of one response; 0 means no limit.
	most int64
}{
	{name: "HTML with status 200", answer: answerOf("HTTP/1.1 200 OK\n"+htmlHead, htmlPage), want: quashtest.Unexpected},
	{name: "204 with a body", answer: raw("HTTP/1.1 204 No Content\nContent-Length: 28\n", "a body that does not belong "), want: quashtest.Revoked},
	{name: "204 with a body in chunks", answer: raw("HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n", "5\r\nabcde\r\n0\r\n\r\n"), want: quashtest.Revoked},
	{name: "408 with the envelope", answer: answerOf("HTTP/1.1 408 Request Timeout\n"+jsonHead, envelope408), want: quashtest.InProgress},
	{name: "408 without it", answer: answerOf("HTTP/1.1 408 Request Timeout\n"+htmlHead, htmlPage), want: quashtest.OpaqueTimeout},
	{name: "408 without anything", answer: answerOf("HTTP/1.1 408 Request Timeout\n", ""), want: quashtest.OpaqueTimeout},
	{name: "400 with an envelope of 10 MB", answer: huge(http.StatusBadRequest), want: quashtest.Unexpected, most: mostOfABody},
	{name: "408 with an envelope of 10 MB", answer: huge(http.StatusRequestTimeout), want: quashtest.OpaqueTimeout, most: mostOfABody},
	{name: "400 with an envelope of 10 MB, HTTP/2", http2: true, answer: hugeOverHTTP2(http.StatusBadRequest), want: quashtest.Unexpected, most: mostOfABody},
	{name: "408 with an envelope of 10 MB, HTTP/2", http2: true, answer: hugeOverHTTP2(http.StatusRequestTimeout), want: quashtest.OpaqueTimeout, most: mostOfABody},
	{
		name: "a head of 10 MB",
		answer: func(u *badUpstream, w http.ResponseWriter) {
			u.write(w, func(conn io.Writer) {
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n")
				flood(conn, "Padding: "+badInputToken+"\r\n", tenMB)
			})
		},
		want: quashtest.Lost, attempts: 3, most: mostOfABody,
	},
	{name: "400 that quotes the token", answer: answerOf("HTTP/1.1 400 "+badInputToken+"\n"+jsonHead+telltale, quoting(400)), want: quashtest.Rejected},
	{name: "401 that quotes the token", answer: answerOf("HTTP/1.1 401 "+badInputToken+"\n"+jsonHead+telltale, quoting(401)), want: quashtest.KeyRefused},
	{name: "404 that quotes the token", answer: answerOf("HTTP/1.1 404 "+badInputToken+"\n"+jsonHead+telltale, quoting(404)), want: quashtest.Unexpected},
	{name: "408 that quotes the token", answer: answerOf("HTTP/1.1 408 "+badInputToken+"\n"+jsonHead+telltale, quoting(408)), want: quashtest.InProgress},
	{
		name:   "429 that quotes the token",
		answer: answerOf("HTTP/1.1 429 "+badInputToken+"\n"+jsonHead+telltale, quoting(429)),
		want:   quashtest.RateLimited, attempts: 3,
	},
	{
		name:   "503 that quotes the token",
		answer: answerOf("HTTP/1.1 503 "+badInputToken+"\n"+jsonHead+telltale, quoting(503)),
		want:   quashtest.Unavailable, attempts: 3,
	},
	{name: "no HTTP at all, quoting the token", answer: raw(badInputToken+"\n", badInputToken), want: quashtest.Lost, attempts: 3},
	{name: "a malformed header line, quoting the token", answer: raw("HTTP/1.1 204 No Content\n"+badInputToken+"\n", ""), want: quashtest.Lost, attempts: 3},
	{
		name:   "408 with NUL bytes in the envelope",
		answer: answerOf("HTTP/1.1 408 Request Timeout\n"+jsonHead, strings.Replace(envelope408, "later", "la\x00ter", 1)),
		want:   quashtest.OpaqueTimeout,
	},
	{
		name:   "408 with escaped NUL bytes in the envelope",
		answer: answerOf("HTTP/1.1 408 Request Timeout\n"+jsonHead, strings.Replace(envelope408, "later", `la\u0000ter`, 1)),
		want:   quashtest.InProgress,
	},
	{name: "400 with a body of NUL bytes", answer: answerOf("HTTP/1.1 400 Bad Request\n"+jsonHead, strings.Repeat("\x00", 1000)), want: quashtest.Unexpected},
	{
		name:   "408 with a NUL byte in the correlation id", // invalid HTTP
		answer: answerOf("HTTP/1.1 408 Request Timeout\nSlashid-Correlation-Id: a\x00b\n"+jsonHead, envelope408),
		want:   quashtest.Lost, attempts: 3,
	},
	{
		name:   "408 with invalid UTF-8 in the envelope",
		answer: answerOf("HTTP/1.1 408 Request Timeout\n"+jsonHead, strings.Replace(envelope408, "later", "la\xff\xfeter", 1)),
		want:   quashtest.InProgress,
	},
	{name: "400 with a body of invalid UTF-8", answer: answerOf("HTTP/1.1 400 Bad Request\n"+jsonHead, "\xc3\x28\xff\xfe\xed\xa0\x80"), want: quashtest.Unexpected},
	{
		name:   "408 with invalid UTF-8 in the correlation id",
		answer: answerOf("HTTP/1.1 408 Request Timeout\nSlashid-Correlation-Id: a\xffb\nRetry-After: \xff\n"+jsonHead, envelope408),
		want:   quashtest.InProgress,
	},
	{
		name: "a flood of 1xx",
		answer: func(u *badUpstream, w http.ResponseWriter) {
			u.write(w, func(conn io.Writer) {
				flood(conn, "HTTP/1.1 103 Early Hints\r\nLink: "+badInputToken+"\r\n\r\n", tenMB)
			})
		},
		want: quashtest.Lost, attempts: 3, most: mostOfABody,
	},
	{
		name: "a flood of 1xx, HTTP/2", http2: true,
		answer: func(_ *badUpstream, w http.ResponseWriter) {
			w.Header().Set("Link", badInputToken)
			for range 2000 {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.WriteHeader(http.StatusNoContent)
		},
		want: quashtest.Lost, attempts: 3,
	},
	{name: "101", answer: raw("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: "+badInputToken+"\n", badInputToken), want: quashtest.Unexpected},
	{name: "301 to another host", answer: answerOf("HTTP/1.1 301 Moved Permanently\nLocation: {elsewhere}\n", ""), want: quashtest.Unexpected},
	{name: "302 to another host", answer: answerOf("HTTP/1.1 302 Found\nLocation: {elsewhere}\n", ""), want: quashtest.Unexpected},
	{name: "303 to another host", answer: answerOf("HTTP/1.1 303 See Other\nLocation: {elsewhere}\n", ""), want: quashtest.Unexpected},
	{name: "307 to another host", answer: answerOf("HTTP/1.1 307 Temporary Redirect\nLocation: {elsewhere}\n", ""), want: quashtest.Unexpected},
	{name: "308 to another host", answer: answerOf("HTTP/1.1 308 Permanent Redirect\nLocation: {elsewhere}\n", ""), want: quashtest.Unexpected},
}

// TestBadInput sends every bad upstream response to every endpoint. Each leads to its row of
// the outcome table and uses bounded memory, and the token appears in neither the answer nor
// the log.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, c := range badInputCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, endpoint := range quashtest.Endpoints {
				u := startBadUpstream(t, c.http2, c.answer)
				if got := u.ask(t, endpoint); got != c.want[endpoint] {
					t.Errorf("%s: got %s, want %s", endpoint, got, c.want[endpoint])
				}
				attempts := max(c.attempts, 1)
				if got := u.calls.Load(); got != attempts {
					t.Errorf("%s: upstream was called %d times, want %d", endpoint, got, attempts)
				}
				if got := u.stray.Load(); got != 0 {
					t.Errorf("%s: the other host was called %d times", endpoint, got)
				}
				if each := u.written.Load() / int64(attempts); c.most != 0 && each > c.most {
					t.Errorf("%s: %d bytes of an answer were taken, want at most %d", endpoint, each, c.most)
				}
			}
		})
	}
}

// ask makes a call through a new quash, and checks that neither answer nor log contains the
// token.
func (u *badUpstream) ask(t *testing.T, endpoint string) string {
	t.Helper()
	var logged lockedBuffer
	upstream := newUpstream(t, u.url, func(cfg *slashid.Config) {
		cfg.RootCAs = func() *x509.CertPool { return u.authority }
	})
	f := startFacade(t, upstream, func(svc *service.Config, cfg *server.Config) {
		svc.AnswerGrace = 2 * time.Minute // so that only the answer decides
		cfg.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	got, err := f.Ask(t.Context(), endpoint, &quashv1.RevokeRequest{Token: badInputToken, Consistency: allRegions, Timeout: durationpb.New(time.Second)})
	if err != nil {
		t.Fatalf("%s: %v", endpoint, err)
	}
	f.Stop()
	for what, text := range map[string]string{"answer": got.Everything, "log": logged.String()} {
		for _, part := range []string{badInputHeader, badInputClaims, badInputSignature} {
			if strings.Contains(text, part) {
				t.Errorf("%s: the %s contains a part of the token:\n%s", endpoint, what, text)
			}
		}
	}
	return got.Text
}

func startBadUpstream(t *testing.T, http2 bool, answer badAnswer) *badUpstream {
	t.Helper()
	u := &badUpstream{}
	u.elsewhere = serveUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { u.stray.Add(1) }))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.calls.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("read the request: %v", err)
		}
		answer(u, w)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if http2 {
		s.EnableHTTP2 = true
		s.StartTLS()
		u.authority = x509.NewCertPool()
		u.authority.AddCert(s.Certificate())
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	u.url = s.URL
	return u
}
