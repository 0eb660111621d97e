package slashid_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

// Whatever bytes a peer answers with, the result comes in time, is plausible, and tells
// no secret, not even a piece of one.
func FuzzRevokeAnswer(f *testing.F) {
	req := aRequest()
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
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 x\r\nContent-Length: 3\r\n\r\nab")
	f.Add("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n" + token)
	f.Add("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.test/" + token + "\r\n\r\n")
	id := regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
	f.Fuzz(func(t *testing.T, answer string) {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, "http://slashid.test")
			peer := connectPeer(t, client, func(c *peerConn) {
				c.readRequest()
				_, _ = io.WriteString(c, answer)
				time.Sleep(2 * slashid.BodyPatience)
			})
			begun := time.Now()

			got := revoke(t, client, req)

			peer.checkConnections(t, 1)
			if took := time.Since(begun); took > 2*slashid.BodyPatience {
				t.Errorf("it took %v", took)
			}
			if got.Err != nil {
				checkNoAnswer(t, got, true)
			} else if !got.Sent || got.Resent || got.Status < 0 || got.Status > 999 || !id.MatchString(got.CorrelationID) ||
				got.RetryAfter < 0 || got.RetryAfter > slashid.MaxRetryAfter || got.RetryAfter%time.Second != 0 {
				t.Errorf("got %+v", got)
			}
			checkTellsNothing(t, got)
		})
	})
}
