package main

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service"
)

// leaked returns the nth token of a list.
func leaked(n int) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"ES256","kid":"k"}`) + "." + part(fmt.Sprintf(`{"sub":"person-%06d","jti":"a-jti-that-is-hard-to-guess-%06d"}`, n, n)) +
		"." + part(strings.Repeat(fmt.Sprintf("signature %06d", n), 4))
}

// revoking is a quash that revokes every token, and records the calls.
type revoking struct {
	mu    sync.Mutex
	asked []string
}

func (r *revoking) revoke(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, req.GetToken())
	return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
}

// tokens returns the tokens of all calls, sorted.
func (r *revoking) tokens() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.asked))
}

const bulkDoc = "../../docs/bulk.md"

// Each problem is reported with its line number, in the words of docs/bulk.md. All other tokens
// are revoked, and no output has a part of a token.
func TestRevokeListForms(t *testing.T) {
	t.Parallel()
	doc := contents(t, bulkDoc)
	one, two, three := leaked(1), leaked(2), leaked(3)
	const noChars = "has characters that no token has"
	const jsonPart = "looks like part of a JSON document: write one token per line, as jq -r does"
	for name, c := range map[string]struct {
		list  string
		asked []string
		said  []string // each line, after "quash: "
		code  int
	}{
		"duplicates":               {one + "\n" + two + "\n" + one + "\n" + one + "\n", []string{one, two}, nil, exitOK},
		"a nested object":          {`{"session":{"token":"` + one + "\"}}\n" + two, []string{two}, []string{`line 1 has no member "token"`}, exitNotApplied},
		"a number":                 {"{\"token\":7}\n", nil, []string{`line 1 has a member "token" that is not a string`}, exitNotApplied},
		"an empty token":           {"{\"token\":\"\"}\n\"\"\n", nil, []string{"line 1 has an empty token", "line 2 has an empty token"}, exitNotApplied},
		"half an object":           {`{"token":"` + one + "\n" + two, []string{two}, []string{"line 1 starts like a JSON object, but is not one"}, exitNotApplied},
		"an array":                 {"[\n\"" + one + "\",\n\"" + two + "\"\n]\n", []string{two}, []string{"line 1 " + jsonPart, "line 2 " + jsonPart, "line 4 " + jsonPart}, exitNotApplied},
		"a comma after the token":  {one + ",\n" + two, []string{two}, []string{"line 1 " + noChars}, exitNotApplied},
		"a header":                 {"Bearer " + one + "\n" + two, []string{two}, []string{`line 1 starts with "Bearer": keep only the token`}, exitNotApplied},
		"binary":                   {"\x00\x01\xff\n" + one + "\n\x7fELF", []string{one}, []string{"line 1 " + noChars, "line 3 " + noChars}, exitNotApplied},
		"a token that is too long": {one + strings.Repeat("a", 16<<10) + "\n" + two, []string{two}, []string{"line 1 is longer than any token"}, exitNotApplied},
		"a wrapped token": {
			one[:64] + "\n" + one[64:128] + "\n" + one[128:] + "\n" + two + "\n",
			[]string{two},
			[]string{
				"line 1 looks like the start of a wrapped token that continues in the next line",
				"line 2 looks like part of a wrapped token that starts in a line before",
				"line 3 looks like part of a wrapped token that starts in a line before",
			},
			exitNotApplied,
		},
		"UTF-16": {
			inUTF16(one + "\r\n"), nil,
			[]string{"line 1 of the list cannot be read: it is UTF-16: convert the list to UTF-8, for instance with iconv -f UTF-16 -t UTF-8"},
			exitIncomplete,
		},
		"compressed": {
			"\x1f\x8b\x08\x00" + one, nil,
			[]string{"line 1 of the list cannot be read: it is compressed: unpack the list first, for instance with gunzip"},
			exitIncomplete,
		},
		"a spreadsheet": {
			"PK\x03\x04" + one, nil,
			[]string{"line 1 of the list cannot be read: it is an archive or an office document: export the list as text"},
			exitIncomplete,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var quash revoking
			addr := startAnswering(t, quash.revoke)
			dir := t.TempDir()
			list, report := filepath.Join(dir, "list"), filepath.Join(dir, "report.json")
			fill(t, list, c.list)
			got := revoke(t, "", "--addr", addr, "--file", list, "--report", report)
			var said strings.Builder
			for _, line := range c.said {
				fmt.Fprintln(&said, "quash:", line)
				_, problem, _ := strings.Cut(strings.TrimPrefix(line, "line "), " ")
				if !strings.Contains(doc, strings.ReplaceAll(problem, "|", `\|`)) {
					t.Errorf("%s does not have %q", bulkDoc, problem)
				}
			}
			if got.code != c.code || got.stderr != said.String() {
				t.Errorf("it ended with %+v\nwant code %d and\n%s", got, c.code, &said)
			}
			if asked := quash.tokens(); !slices.Equal(asked, c.asked) {
				t.Errorf("%d tokens were asked about, want %d", len(asked), len(c.asked))
			}
			var secrets []secrettest.Secret
			for i, token := range []string{one, two, three} {
				secrets = append(secrets, secrettest.OfToken(fmt.Sprint("token ", i+1), token)...)
			}
			searcher := secrettest.NewSearcher(secrets...)
			for where, text := range map[string]string{
				"standard output": got.stdout, "standard error": got.stderr, "report": contents(t, report), "journal": contents(t, list+".journal"),
			} {
				if what, at := searcher.Find(text); what != "" {
					t.Errorf("the %s has %s at %d", where, what, at)
				}
			}
		})
	}
}

func inUTF16(text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

// The exit code of a list is the highest one of its tokens.
func TestRevokeListExitCodes(t *testing.T) {
	t.Parallel()
	const dead, rejected, accepted, refused, noToken = "d", "r", "a", "n", "{"
	for list, want := range map[string]int{
		dead:                                 exitOK,
		dead + rejected:                      exitRejected,
		rejected + accepted:                  exitInProgress,
		dead + accepted + rejected + refused: exitNotApplied,
		dead + dead + refused + dead:         exitNotApplied,
		"":                                   exitIncomplete,
		dead + noToken:                       exitNotApplied,
	} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			addr := startAnswering(t, func(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
				switch req.GetToken()[:1] {
				case rejected:
					return nil, answerNamed(t, "TOKEN_REJECTED")
				case accepted:
					return nil, answerNamed(t, "CONSISTENCY_TIMEOUT")
				case refused:
					return nil, answerNamed(t, "INVALID_REQUEST")
				}
				return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
			})
			var lines strings.Builder
			for i, kind := range strings.Split(list, "") {
				fmt.Fprintf(&lines, "%s%s%d\n", kind, strings.Repeat(kind, 3), i)
			}
			if got := revoke(t, lines.String(), "--addr", addr, "--file", "-"); got.code != want {
				t.Errorf("exit code %d, want %d: %+v", got.code, want, got)
			}
		})
	}
}

// answerNamed returns the first error with a reason in quash's outcome table.
func answerNamed(t *testing.T, reason string) error {
	t.Helper()
	for _, doc := range service.OutcomeDocs() {
		if doc.Error != nil && doc.Error.Reason() == reason {
			_, err := answerTo(t, doc)
			return err
		}
	}
	t.Errorf("there is no reason %s", reason)
	return nil
}
