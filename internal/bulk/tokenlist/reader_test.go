package tokenlist_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

const (
	header    = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ"
	claims    = "eyJzdWIiOiJwZXJzb24iLCJleHAiOjF9"
	signature = "c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
	token     = header + "." + claims + "." + signature
	other     = header + "." + claims + ".b3RoZXI"

	longest = 16 << 10
)

func good(number int64, token string) tokenlist.Line {
	return tokenlist.Line{Number: number, Token: token}
}

func bad(number int64, problem tokenlist.Problem) tokenlist.Line {
	return tokenlist.Line{Number: number, Problem: problem}
}

type listCase struct {
	list string
	want []tokenlist.Line
}

var lists = map[string]listCase{
	"nothing":                      {"", nil},
	"one":                          {token + "\n", []tokenlist.Line{good(1, token)}},
	"no end of line":               {token, []tokenlist.Line{good(1, token)}},
	"two":                          {token + "\n" + other + "\n", []tokenlist.Line{good(1, token), good(2, other)}},
	"the same twice":               {token + "\n" + token, []tokenlist.Line{good(1, token), good(2, token)}},
	"empty lines count":            {"\n\n" + token + "\n \t\n\n" + other + "\n\n", []tokenlist.Line{good(3, token), good(6, other)}},
	"only empty lines":             {"\n\r\n \n", nil},
	"Windows":                      {token + "\r\n\r\n" + other + "\r\n", []tokenlist.Line{good(1, token), good(3, other)}},
	"spaces around":                {" \t" + token + "  \n", []tokenlist.Line{good(1, token)}},
	"quotes":                       {`"` + token + "\"\n'" + other + "'", []tokenlist.Line{good(1, token), good(2, other)}},
	"nothing in quotes":            {`""`, []tokenlist.Line{bad(1, tokenlist.EmptyToken)}},
	"a list in JSON":               {"[\n\"" + token + "\",\n\"" + other + "\"\n]", []tokenlist.Line{bad(1, tokenlist.JSONPart), bad(2, tokenlist.JSONPart), good(3, other), bad(4, tokenlist.JSONPart)}},
	"a JSON array in a line":       {`["` + token + `","` + other + `"]`, []tokenlist.Line{bad(1, tokenlist.JSONPart)}},
	"a long JSON array":            {"\uFEFF [" + strings.Repeat(`"`+token+`",`, 1000) + "\n" + other, []tokenlist.Line{bad(1, tokenlist.JSONPart), good(2, other)}},
	"a header":                     {"Bearer " + token + "\nbearer " + token + "\nbearer\n\nBearer x y", []tokenlist.Line{bad(1, tokenlist.BearerPrefix), bad(2, tokenlist.BearerPrefix), good(3, "bearer"), bad(5, tokenlist.BearerPrefix)}},
	"a table":                      {"user,token\n7," + token, []tokenlist.Line{bad(1, tokenlist.NoTokenChars), bad(2, tokenlist.NoTokenChars)}},
	"a byte order mark":            {"\uFEFF" + token, []tokenlist.Line{good(1, token)}},
	"a mark inside":                {header + "\uFEFF." + claims, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"binary":                       {"\x00\x01\xff\n" + token + "\n\x7fELF", []tokenlist.Line{bad(1, tokenlist.NoTokenChars), good(2, token), bad(3, tokenlist.NoTokenChars)}},
	"UTF-16 without a mark":        {"e\x00y\x00J\x00", []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"returns without newlines":     {token + "\r" + other, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"two in a line":                {token + " " + other, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"the longest":                  {strings.Repeat("a", longest), []tokenlist.Line{good(1, strings.Repeat("a", longest))}},
	"too long by one":              {strings.Repeat("a", longest+1) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"as long as what is read":      {strings.Repeat("a", 64<<10-1) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"longer by one":                {strings.Repeat("a", 64<<10) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"much longer":                  {strings.Repeat("a", 1<<20) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"too long, the last":           {token + "\n" + strings.Repeat("a", 1<<20), []tokenlist.Line{good(1, token), bad(2, tokenlist.TooLong)}},
	"not a JWT":                    {"opaque\nsecret.two\n....\n", []tokenlist.Line{good(1, "opaque"), good(2, "secret.two"), good(3, "....")}},
	"an object":                    {`{"token": "` + token + `"}`, []tokenlist.Line{good(1, token)}},
	"an object with more":          {`{"at": 1, "of": {"token": "x"}, "token": "` + token + `", "all": ["token", {}]}`, []tokenlist.Line{good(1, token)}},
	"an object that escapes":       {`{"tok\u0065n": "\u0065` + token[1:] + `"}`, []tokenlist.Line{good(1, token)}},
	"objects and tokens":           {`{"token":"` + token + "\"}\n" + other, []tokenlist.Line{good(1, token), good(2, other)}},
	"an object without a token":    {`{}`, []tokenlist.Line{bad(1, tokenlist.NoTokenMember)}},
	"a name that is nearly right":  {`{"Token": "` + token + `"}`, []tokenlist.Line{bad(1, tokenlist.NoTokenMember)}},
	"a number for a token":         {`{"token": 1}`, []tokenlist.Line{bad(1, tokenlist.TokenNoString)}},
	"null for a token":             {`{"token": null}`, []tokenlist.Line{bad(1, tokenlist.TokenNoString)}},
	"an object for a token":        {`{"token": {"token": "a"}}`, []tokenlist.Line{bad(1, tokenlist.TokenNoString)}},
	"an empty token":               {`{"token": ""}`, []tokenlist.Line{bad(1, tokenlist.EmptyToken)}},
	"an odd token":                 {`{"token": "a b"}`, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"a token with spaces around":   {`{"token": " a"}`, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"broken text for a token":      {"{\"token\": \"\xff\"}", []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"a long token in an object":    {`{"token": "` + strings.Repeat("a", longest+1) + `"}`, []tokenlist.Line{bad(1, tokenlist.TooLong)}},
	"half an object":               {"{\"token\": \"" + token + "\n" + other, []tokenlist.Line{bad(1, tokenlist.BadJSON), good(2, other)}},
	"a brace":                      {"{", []tokenlist.Line{bad(1, tokenlist.BadJSON)}},
	"an object over several lines": {"{\n\"token\": \"" + token + "\"\n}\n", []tokenlist.Line{bad(1, tokenlist.BadJSON), bad(2, tokenlist.JSONPart), bad(3, tokenlist.JSONPart)}},
	"two objects in a line":        {`{"token": "a"}{"token": "b"}`, []tokenlist.Line{bad(1, tokenlist.BadJSON)}},
	"something after an object":    {`{"token": "a"},`, []tokenlist.Line{bad(1, tokenlist.BadJSON)}},
	"an object without a colon":    {`{"token" "a"}`, []tokenlist.Line{bad(1, tokenlist.BadJSON)}},
	"an object with a lone name":   {`{"token"}`, []tokenlist.Line{bad(1, tokenlist.BadJSON)}},
	"an object that never ends":    {`{"token": ` + strings.Repeat("[", 60_000), []tokenlist.Line{bad(1, tokenlist.BadJSON)}},
	"an object that is too long":   {`{"log": "` + strings.Repeat("x", 64<<10) + `", "token": "a"}` + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
}

const starts, continues = tokenlist.WrapStarts, tokenlist.WrapContinues

var wrapped = map[string]listCase{
	"in the header": {
		token[:10] + "\n" + token[10:] + "\n" + other,
		[]tokenlist.Line{bad(1, starts), bad(2, continues), good(3, other)},
	},
	"before a dot": {
		header + "\n." + claims + "." + signature,
		[]tokenlist.Line{bad(1, starts), bad(2, continues)},
	},
	"after a dot, where the claims begin like a token": {
		header + ".\n" + claims + "." + signature,
		[]tokenlist.Line{bad(1, starts), bad(2, continues)},
	},
	"over three lines": {
		header + "\n." + claims + ".\n" + signature,
		[]tokenlist.Line{bad(1, starts), bad(2, continues), bad(3, continues)},
	},
	"with spaces before the continuation": {
		header + "." + claims + "\n  ." + signature,
		[]tokenlist.Line{bad(1, starts), bad(2, continues)},
	},
	"in the signature: the first line is sent, because it may be a whole token": {
		token + "\nc2ln\n" + other,
		[]tokenlist.Line{good(1, token), bad(2, continues), good(3, other)},
	},
	"in the signature, twice": {
		token + "\nc2ln\ndXJl\n",
		[]tokenlist.Line{good(1, token), bad(2, continues), bad(3, continues)},
	},
	"one after the other": {
		token[:10] + "\n" + token[10:] + "\n" + other[:10] + "\n" + other[10:],
		[]tokenlist.Line{bad(1, starts), bad(2, continues), bad(3, starts), bad(4, continues)},
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
}

func TestRead(t *testing.T) {
	t.Parallel()
	for about, cases := range map[string]map[string]listCase{"lists": lists, "wrapped tokens": wrapped} {
		for name, c := range cases {
			t.Run(about+"/"+name, func(t *testing.T) {
				t.Parallel()
				for how, r := range map[string]io.Reader{
					"at once":            strings.NewReader(c.list),
					"byte by byte":       iotest.OneByteReader(strings.NewReader(c.list)),
					"the end with bytes": iotest.DataErrReader(strings.NewReader(c.list)),
				} {
					lines, err := tokenlist.Read(r)
					if err != nil {
						t.Errorf("%s: %v", how, err)
					}
					if diff := cmp.Diff(c.want, lines); diff != "" {
						t.Errorf("%s: wrong lines (-want +got):\n%s", how, diff)
					}
				}
			})
		}
	}
}

func TestReadFails(t *testing.T) {
	t.Parallel()
	breaks := iotest.ErrReader(errors.New("input/output error"))
	for name, c := range map[string]struct {
		list io.Reader
		want []tokenlist.Line // before the failure
		err  string
	}{
		"at once":            {breaks, nil, "line 1 of the list cannot be read: input/output error"},
		"between lines":      {io.MultiReader(strings.NewReader(token+"\n\n"), breaks), []tokenlist.Line{good(1, token)}, "line 3 of the list cannot be read: input/output error"},
		"in a line":          {io.MultiReader(strings.NewReader(token+"\n"+other), breaks), []tokenlist.Line{good(1, token)}, "line 2 of the list cannot be read: input/output error"},
		"in a long line":     {io.MultiReader(strings.NewReader(token+"\n"+strings.Repeat("a", 1<<20)), breaks), []tokenlist.Line{good(1, token)}, "line 2 of the list cannot be read: input/output error"},
		"UTF-16":             {strings.NewReader("\xff\xfee\x00y\x00"), nil, "line 1 of the list cannot be read: it is UTF-16: convert the list to UTF-8, for instance with iconv -f UTF-16 -t UTF-8"},
		"UTF-16, big endian": {strings.NewReader("\xfe\xff\x00e\x00y"), nil, "line 1 of the list cannot be read: it is UTF-16: convert the list to UTF-8, for instance with iconv -f UTF-16 -t UTF-8"},
		"compressed":         {strings.NewReader("\x1f\x8b\x08\x00"), nil, "line 1 of the list cannot be read: it is compressed: unpack the list first, for instance with gunzip"},
		"a spreadsheet":      {strings.NewReader("PK\x03\x04\x14\x00"), nil, "line 1 of the list cannot be read: it is an archive or an office document: export the list as text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := tokenlist.Read(c.list)
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Errorf("wrong lines (-want +got):\n%s", diff)
			}
			if err == nil || err.Error() != c.err {
				t.Errorf("failed with %v, want %q", err, c.err)
			}
		})
	}
}

// At any wrapping column, no line has a token that is not in the list, except one that was
// wrapped in its signature.
func TestWrappedAtAnyColumn(t *testing.T) {
	t.Parallel()
	for column := 2; column < len(token); column++ {
		var list strings.Builder
		for _, token := range []string{token, other} {
			for piece := range slices.Chunk([]byte(token), column) {
				list.Write(piece)
				list.WriteByte('\n')
			}
		}
		lines, err := tokenlist.Read(strings.NewReader(list.String()))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if line.Token != "" && strings.Count(line.Token, ".") != 2 {
				t.Errorf("wrapped at %d: line %d has a token of %d bytes", column, line.Number, len(line.Token))
			}
		}
	}
}

// Every line that is not empty has a token that is in its text, or a problem.
func FuzzRead(f *testing.F) {
	for _, c := range lists {
		f.Add(c.list)
	}
	for _, c := range wrapped {
		f.Add(c.list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		lines, err := tokenlist.Read(iotest.HalfReader(strings.NewReader(list)))
		if err != nil {
			if len(lines) > 0 {
				t.Fatalf("%d lines of a list that is refused", len(lines))
			}
			return
		}
		number := int64(0)
		for text := range strings.Lines(list) {
			number++
			if strings.TrimSpace(strings.TrimPrefix(text, "\uFEFF")) == "" && len(text) <= 64<<10 {
				continue
			}
			if len(lines) == 0 || lines[0].Number != number {
				t.Fatalf("line %d was skipped", number)
			}
			line := lines[0]
			lines = lines[1:]
			if (line.Token == "") == (line.Problem == "") {
				t.Fatalf("line %d has both a token and a problem, or neither", number)
			}
			if !strings.Contains(text, line.Token) && !strings.Contains(text, `\`) {
				t.Fatalf("the token %q is not in line %q", line.Token, text)
			}
		}
		if len(lines) > 0 {
			t.Fatalf("lines that are not in the list: %v", lines)
		}
	})
}
