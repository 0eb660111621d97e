package slashid_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/quashdev/quash/service/slashid"
)

// plainly are heads that are read at a glance, and others that are not.
var plainly = map[string]bool{
	"HTTP/1.1 204 No Content\n\n": true,
	"HTTP/1.1 204 \n\n":           true,
	"HTTP/1.1 204 No Content\nSlashid-Correlation-Id: an-id\n\n":    true,
	"HTTP/1.1 204 No Content\nslashid-CORRELATION-id:\t an id \n\n": true,
	"HTTP/1.1 204 No Content\nSlashid-Correlation-Id:\n\n":          false,
	"HTTP/1.1 204 No Content\nDate: Sun, 06 Nov 1994\nX: :\n\n":     true,
	"HTTP/1.1 204 No Content\nX: y\n\nHTTP/1.1 204 No Content\n\n":  true,
	"HTTP/1.1 204 No Content\nTrailer: X\n\n":                       true,

	"":                                                     false,
	"\n":                                                   false,
	"HTTP/1.1 204 No Content\n":                            false,
	"HTTP/1.1 204 No Content\nX: y\n":                      false,
	"HTTP/1.1 204 No Content\nX: y\n\r":                    false,
	"HTTP/1.1 204 No Content\n\nX: y":                      true,
	"HTTP/1.1 204\n\n":                                     false,
	"HTTP/1.1 2040 x\n\n":                                  false,
	"HTTP/1.0 204 x\n\n":                                   false,
	"HTTP/1.1 200 x\n\n":                                   false,
	"HTTP/1.1 103 Early Hints\n\n":                         false,
	"HTTP/1.1 304 x\n\n":                                   false,
	"HTTP/1.1 204 \x01\n\n":                                false,
	"HTTP/1.1 204 x\r\n\n":                                 false,
	"HTTP/1.1 204 x\nX: y\n z\n\n":                         false, // a line that is continued
	"HTTP/1.1 204 x\n X: y\n\n":                            false,
	"HTTP/1.1 204 x\nX : y\n\n":                            false,
	"HTTP/1.1 204 x\n: y\n\n":                              false,
	"HTTP/1.1 204 x\nX\n\n":                                false,
	"HTTP/1.1 204 x\nX: \xfc\n\n":                          false,
	"HTTP/1.1 204 x\nX: \x00\n\n":                          false,
	"HTTP/1.1 204 x\nX: a\rb\n\n":                          false,
	"HTTP/1.1 204 x\nX_: y\n\n":                            false,
	"HTTP/1.1 204 x\nRetry-After: 1\n\n":                   false,
	"HTTP/1.1 204 x\nConnection: x\n\n":                    false,
	"HTTP/1.1 204 x\nCONNECTION: x\n\n":                    false,
	"HTTP/1.1 204 x\ncontent-length: 0\n":                  false,
	"HTTP/1.1 204 x\nContent-Length: 0\nX: y\n\n":          false,
	"HTTP/1.1 204 x\nX: y\nTransfer-Encoding: chunked\n\n": false,
	"HTTP/1.1 204 x\nSlashid-Correlation-Id: a\nslashid-correlation-id: b\n\n":  false,
	"HTTP/1.1 204 x\nSlashid-Correlation-Id: \nslashid-correlation-id: b\n\n":   false,
	"HTTP/1.1 204 x\n\x00lashid-Correlation-Id: a\n\n":                          false,
	"HTTP/1.1 204 x\n\u017flashid-Correlation-Id: a\n\n":                        false,
	"HTTP/1.1 204 x\nSlashid-Correlation-Id: a\nX: " + strings.Repeat("x", 200): false,
}

func TestCutRevoked(t *testing.T) {
	t.Parallel()
	for text, want := range plainly {
		checkCutRevoked(t, onTheWire(text))
		if _, _, got := slashid.CutRevoked(onTheWire(text)); got != want {
			t.Errorf("%q is read at a glance: %t", text, got)
		}
	}
}

// FuzzCutRevoked is the rule that makes the short cut one.
func FuzzCutRevoked(f *testing.F) {
	for text := range plainly {
		f.Add(onTheWire(text))
	}
	f.Fuzz(checkCutRevoked)
}

func onTheWire(text string) []byte {
	return bytes.ReplaceAll([]byte(text), []byte("\n"), []byte("\r\n"))
}

// checkCutRevoked checks that what is cut off an answer is what net/http makes of it: a
// plain 204, after which there can be another answer.
func checkCutRevoked(t *testing.T, read []byte) {
	id, rest, ok := slashid.CutRevoked(bytes.Clone(read))
	if !ok {
		return
	}
	reader := bufio.NewReaderSize(bytes.NewReader(read), len(read)+16)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("%q: %v", read, err)
	}
	if resp.StatusCode != http.StatusNoContent || resp.Proto != "HTTP/1.1" || resp.Body != http.NoBody || resp.Close ||
		len(resp.TransferEncoding) > 0 || resp.Header.Get("Content-Length") != "" || resp.Header.Get("Retry-After") != "" {
		t.Errorf("%q: %+v", read, resp)
	}
	if want := resp.Header.Get(slashid.HeaderCorrelationID); string(id) != want {
		t.Errorf("%q: the id is %q, want %q", read, id, want)
	}
	if reader.Buffered() != len(rest) {
		t.Errorf("%q: %d bytes are left, want %d", read, len(rest), reader.Buffered())
	}
}
