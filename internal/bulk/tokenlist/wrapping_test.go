package tokenlist_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

func TestWrappedTokens(t *testing.T) {
	t.Parallel()
	begins, goesOn := tokenlist.WrapBegins, tokenlist.WrapGoesOn
	for name, c := range map[string]struct {
		list string
		want []tokenlist.Line
	}{
		"in the header": {
			token[:10] + "\n" + token[10:] + "\n" + other,
			[]tokenlist.Line{bad(1, begins), bad(2, goesOn), good(3, other)},
		},
		"before a dot": {
			header + "\n." + claims + "." + signature,
			[]tokenlist.Line{bad(1, begins), bad(2, goesOn)},
		},
		"after a dot, where the claims begin like a token": {
			header + ".\n" + claims + "." + signature,
			[]tokenlist.Line{bad(1, begins), bad(2, goesOn)},
		},
		"over three lines": {
			header + "\n." + claims + ".\n" + signature,
			[]tokenlist.Line{bad(1, begins), bad(2, goesOn), bad(3, goesOn)},
		},
		"with spaces before what goes on": {
			header + "." + claims + "\n  ." + signature,
			[]tokenlist.Line{bad(1, begins), bad(2, goesOn)},
		},
		"in the signature: what comes before is sent, for it may be whole": {
			token + "\nc2ln\n" + other,
			[]tokenlist.Line{good(1, token), bad(2, goesOn), good(3, other)},
		},
		"in the signature, twice": {
			token + "\nc2ln\ndXJl\n",
			[]tokenlist.Line{good(1, token), bad(2, goesOn), bad(3, goesOn)},
		},
		"one after the other": {
			token[:10] + "\n" + token[10:] + "\n" + other[:10] + "\n" + other[10:],
			[]tokenlist.Line{bad(1, begins), bad(2, goesOn), bad(3, begins), bad(4, goesOn)},
		},
		"cut off, not wrapped": {
			header + "." + claims + "\n" + header + "." + claims + "\n",
			[]tokenlist.Line{good(1, header+"."+claims), good(2, header+"."+claims)},
		},
		"cut off at the end of the list": {
			token + "\n" + header,
			[]tokenlist.Line{good(1, token), good(2, header)},
		},
		"too many parts for one token": {
			header + "." + claims + "\n" + claims[1:] + ".a.b.c\n",
			[]tokenlist.Line{good(1, header+"."+claims), good(2, claims[1:]+".a.b.c")},
		},
		"an empty line between": {
			header + "\n\n" + signature,
			[]tokenlist.Line{good(1, header), good(3, signature)},
		},
		"another problem between": {
			header + "\n?\n" + signature,
			[]tokenlist.Line{good(1, header), bad(2, tokenlist.NoTokenChars), good(3, signature)},
		},
		"not JWTs": {
			"one\ntwo\nthree.four\n",
			[]tokenlist.Line{good(1, "one"), good(2, "two"), good(3, "three.four")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := collect(tokenlist.New(strings.NewReader(c.list)))
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Errorf("wrong lines (-want +got):\n%s", diff)
			}
		})
	}
}

// Wherever a list is wrapped, no line gives another token than one that is in the list,
// unless it is one that was wrapped in its signature.
func TestWrappedAtAnyColumn(t *testing.T) {
	t.Parallel()
	tokens := []string{token, other}
	for column := 1; column < len(token); column++ {
		var list strings.Builder
		for _, token := range tokens {
			for piece := range slices.Chunk([]byte(token), column) {
				list.Write(piece)
				list.WriteByte('\n')
			}
		}
		lines, err := collect(tokenlist.New(strings.NewReader(list.String())))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, line := range lines {
			inSignature := strings.Count(line.Token, ".") == 2
			if line.Token != "" && !inSignature && column > 1 {
				t.Errorf("wrapped at %d: line %d gives a token of %d bytes", column, line.Number, len(line.Token))
			}
		}
	}
}
