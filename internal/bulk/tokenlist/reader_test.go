package tokenlist_test

import (
	"errors"
	"io"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
	"github.com/quashdev/quash/internal/secrettest"
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

var lists = map[string]struct {
	list string
	want []tokenlist.Line
}{
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
	"a single quote":               {`"` + token, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"a list in JSON":               {"[\n\"" + token + "\",\n\"" + other + "\"\n]", []tokenlist.Line{bad(1, tokenlist.JSONPart), bad(2, tokenlist.JSONPart), good(3, other), bad(4, tokenlist.JSONPart)}},
	"all of that in a line":        {`["` + token + `","` + other + `"]`, []tokenlist.Line{bad(1, tokenlist.JSONPart)}},
	"that, and longer":             {"\uFEFF [" + strings.Repeat(`"`+token+`",`, 1000) + "\n" + other, []tokenlist.Line{bad(1, tokenlist.JSONPart), good(2, other)}},
	"a header":                     {"Bearer " + token + "\nbearer " + token + "\nbearer\n\nBearer x y", []tokenlist.Line{bad(1, tokenlist.BearerPrefix), bad(2, tokenlist.BearerPrefix), good(3, "bearer"), bad(5, tokenlist.BearerPrefix)}},
	"all of a header":              {"Authorization: Bearer " + token, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"a table":                      {"user,token\n7," + token, []tokenlist.Line{bad(1, tokenlist.NoTokenChars), bad(2, tokenlist.NoTokenChars)}},
	"a byte order mark":            {"\uFEFF" + token, []tokenlist.Line{good(1, token)}},
	"nothing but that":             {"\uFEFF", nil},
	"lists with marks, joined":     {"\uFEFF" + token + "\n\uFEFF" + other, []tokenlist.Line{good(1, token), good(2, other)}},
	"a mark inside":                {header + "\uFEFF." + claims, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"binary":                       {"\x00\x01\xff\n" + token + "\n\x7fELF", []tokenlist.Line{bad(1, tokenlist.NoTokenChars), good(2, token), bad(3, tokenlist.NoTokenChars)}},
	"UTF-16 without a mark":        {"e\x00y\x00J\x00", []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"returns without newlines":     {token + "\r" + other, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"two in a line":                {token + " " + other, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"two, separated by a comma":    {token + "," + other, []tokenlist.Line{bad(1, tokenlist.NoTokenChars)}},
	"the longest":                  {strings.Repeat("a", longest), []tokenlist.Line{good(1, strings.Repeat("a", longest))}},
	"too long by one":              {strings.Repeat("a", longest+1) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"as long as what is read":      {strings.Repeat("a", 64<<10-1) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"longer by one":                {strings.Repeat("a", 64<<10) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"much longer":                  {strings.Repeat("a", 1<<20) + "\n" + token, []tokenlist.Line{bad(1, tokenlist.TooLong), good(2, token)}},
	"too long, the last":           {token + "\n" + strings.Repeat("a", 1<<20), []tokenlist.Line{good(1, token), bad(2, tokenlist.TooLong)}},
	"too long, all of it spaces":   {strings.Repeat(" ", 1<<20), []tokenlist.Line{bad(1, tokenlist.TooLong)}},
	"not a JWT":                    {"opaque\nsecret.two\n....\n", []tokenlist.Line{good(1, "opaque"), good(2, "secret.two"), good(3, "....")}},
	"an object":                    {`{"token": "` + token + `"}`, []tokenlist.Line{good(1, token)}},
	"an object in spaces":          {"  {\"token\":\"" + token + "\"}\t\r\n", []tokenlist.Line{good(1, token)}},
	"an object with more":          {`{"at": 1, "of": {"token": "x"}, "token": "` + token + `", "all": ["token", {}]}`, []tokenlist.Line{good(1, token)}},
	"an object that escapes":       {`{"tok\u0065n": "\u0065` + token[1:] + `"}`, []tokenlist.Line{good(1, token)}},
	"objects and tokens":           {`{"token":"` + token + "\"}\n" + other, []tokenlist.Line{good(1, token), good(2, other)}},
	"an object without a token":    {`{}`, []tokenlist.Line{bad(1, tokenlist.NoTokenMember)}},
	"a name that is nearly right":  {`{"Token": "` + token + `"}`, []tokenlist.Line{bad(1, tokenlist.NoTokenMember)}},
	"one beside the right one":     {`{"token": "` + token + `", "TOKEN": "` + other + `"}`, []tokenlist.Line{good(1, token)}},
	"two members":                  {`{"token": "` + token + `", "token": "` + other + `"}`, []tokenlist.Line{bad(1, tokenlist.TwoTokenMembers)}},
	"two members that are alike":   {`{"token": "a", "\u0074oken": "a"}`, []tokenlist.Line{bad(1, tokenlist.TwoTokenMembers)}},
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

func TestLists(t *testing.T) {
	t.Parallel()
	for name, c := range lists {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"at once":            strings.NewReader(c.list),
				"byte by byte":       iotest.OneByteReader(strings.NewReader(c.list)),
				"the end with bytes": iotest.DataErrReader(strings.NewReader(c.list)),
			} {
				reader := tokenlist.New(r)
				lines, err := collect(reader)
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: reading ended with %v", how, err)
				}
				if diff := cmp.Diff(c.want, lines); diff != "" {
					t.Errorf("%s: wrong lines (-want +got):\n%s", how, diff)
				}
				if reader.Offset() != int64(len(c.list)) {
					t.Errorf("%s: %d bytes read of %d", how, reader.Offset(), len(c.list))
				}
				if _, err := reader.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("%s: after the end: %v", how, err)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	errDisk := errors.New("input/output error")
	breaks := iotest.ErrReader(errDisk)
	for name, c := range map[string]struct {
		list io.Reader
		want []tokenlist.Line // before the failure
		err  string
	}{
		"at once": {
			breaks, nil, "line 1 of the list cannot be read: input/output error",
		},
		"between lines": {
			io.MultiReader(strings.NewReader(token+"\n\n"), breaks),
			[]tokenlist.Line{good(1, token)},
			"line 3 of the list cannot be read: input/output error",
		},
		"in a line, which may be half of one": {
			io.MultiReader(strings.NewReader(token+"\n"+other), breaks),
			[]tokenlist.Line{good(1, token)},
			"line 2 of the list cannot be read: input/output error",
		},
		"in a long line": {
			io.MultiReader(strings.NewReader(token+"\n"+strings.Repeat("a", 1<<20)), breaks),
			[]tokenlist.Line{good(1, token)},
			"line 2 of the list cannot be read: input/output error",
		},
		"after what may be the beginning of a token": {
			io.MultiReader(strings.NewReader(token+"\n"+header+"\n"), breaks),
			[]tokenlist.Line{good(1, token)},
			"line 3 of the list cannot be read: input/output error",
		},
		"UTF-16, little end first": {
			strings.NewReader("\xff\xfee\x00y\x00"), nil,
			"line 1 of the list cannot be read: it is UTF-16: convert the list to UTF-8, as with iconv -f UTF-16 -t UTF-8",
		},
		"compressed": {
			strings.NewReader("\x1f\x8b\x08\x00"), nil,
			"line 1 of the list cannot be read: it is compressed: unpack the list first, as with gunzip",
		},
		"a spreadsheet": {
			strings.NewReader("PK\x03\x04\x14\x00"), nil,
			"line 1 of the list cannot be read: it is an archive, or a document of an office program: export the list as text",
		},
		"UTF-16, big end first": {
			strings.NewReader("\xfe\xff\x00e\x00y"), nil,
			"line 1 of the list cannot be read: it is UTF-16: convert the list to UTF-8, as with iconv -f UTF-16 -t UTF-8",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader := tokenlist.New(c.list)
			lines, err := collect(reader)
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Errorf("wrong lines (-want +got):\n%s", diff)
			}
			if err.Error() != c.err {
				t.Errorf("failed with %q, want %q", err, c.err)
			}
			if _, again := reader.Next(); again == nil || again.Error() != err.Error() {
				t.Errorf("after %v: %v", err, again)
			}
		})
	}
}

// It is not parallel, for what others allocate would count.
func TestALineLongerThanMemory(t *testing.T) {
	const length = 64 << 20
	reader := tokenlist.New(io.MultiReader(
		strings.NewReader(token+"\n"),
		io.LimitReader(endless{}, length),
		strings.NewReader("\n"+other),
	))
	before := allocated()
	lines, err := collect(reader)
	if grown := allocated() - before; grown > 16<<20 {
		t.Errorf("a line of %d bytes took %d bytes", length, grown)
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	want := []tokenlist.Line{good(1, token), bad(2, tokenlist.TooLong), good(3, other)}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("wrong lines (-want +got):\n%s", diff)
	}
}

// A token a line is a string to allocate, and nothing else is.
func TestAllocations(t *testing.T) {
	const lines = 10_000
	reader := tokenlist.New(strings.NewReader(strings.Repeat(token+"\n", 2*lines)))
	each := testing.AllocsPerRun(lines, func() {
		if _, err := reader.Next(); err != nil {
			t.Fatal(err)
		}
	})
	if each > 1 {
		t.Errorf("%v allocations a line", each)
	}
}

func TestProblemsAreNumbered(t *testing.T) {
	t.Parallel()
	seen := map[tokenlist.Problem]bool{}
	for number := range uint8(255) {
		problem := tokenlist.Numbered(number)
		if problem != "" && problem.Number() != number {
			t.Errorf("%q has the numbers %d and %d", problem, number, problem.Number())
		}
		seen[problem] = true
	}
	for _, c := range lists {
		for _, line := range c.want {
			if !seen[line.Problem] {
				t.Errorf("%q has no number", line.Problem)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range lists {
		f.Add(c.list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		for _, beginning := range []string{"\xff\xfe", "\xfe\xff", "\x1f\x8b", "PK\x03\x04"} {
			if strings.HasPrefix(list, beginning) {
				return // not read at all
			}
		}
		lines, err := collect(tokenlist.New(iotest.HalfReader(strings.NewReader(list))))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		numbered := map[int64]tokenlist.Line{}
		for _, line := range lines {
			if (line.Token == "") == (line.Problem == "") {
				t.Fatalf("line %d has both a token and a problem, or neither", line.Number)
			}
			if run := secrettest.SharedRun(string(line.Problem), line.Token); run != "" {
				t.Fatalf("line %d: the problem quotes %q", line.Number, run)
			}
			numbered[line.Number] = line
		}
		if len(numbered) != len(lines) {
			t.Fatal("two lines have the same number")
		}
		for number, text := range numberedLines(list) {
			checkLine(t, text, numbered[number])
			delete(numbered, number)
		}
		if len(numbered) != 0 {
			t.Fatalf("lines that are not in the list: %v", numbered)
		}
	})
}

// checkLine holds a line against its text: a token stands in it, and only white space
// has neither token nor problem.
func checkLine(t *testing.T, text string, line tokenlist.Line) {
	t.Helper()
	trimmed := strings.TrimSpace(strings.TrimPrefix(text, "\uFEFF"))
	switch {
	case line == tokenlist.Line{}:
		if trimmed != "" {
			t.Fatalf("line %q was skipped", text)
		}
	case line.Token == "":
	case strings.HasPrefix(trimmed, "{"):
		if !strings.Contains(text, line.Token) && !strings.Contains(text, `\`) {
			t.Fatalf("the token %q is not in line %q", line.Token, text)
		}
	case strings.Trim(trimmed, `"'`) != line.Token:
		t.Fatalf("the token of line %q is %q", text, line.Token)
	}
}

func numberedLines(list string) iter.Seq2[int64, string] {
	return func(yield func(int64, string) bool) {
		number := int64(0)
		for text := range strings.Lines(list) {
			number++
			if !yield(number, text) {
				return
			}
		}
	}
}

func BenchmarkReader(b *testing.B) {
	long := header + "." + strings.Repeat("a", 900) + "." + signature
	for name, line := range map[string]string{"tokens": long, "objects": `{"at": "2026-01-02", "token": "` + long + `"}`} {
		b.Run(name, func(b *testing.B) {
			const lines = 1000
			list := strings.Repeat(line+"\n", lines)
			b.SetBytes(int64(len(line) + 1))
			b.ReportAllocs()
			reader := tokenlist.New(strings.NewReader(list))
			for b.Loop() {
				if _, err := reader.Next(); err != nil {
					reader = tokenlist.New(strings.NewReader(list))
				}
			}
		})
	}
}

func collect(reader *tokenlist.Reader) ([]tokenlist.Line, error) {
	var lines []tokenlist.Line
	for {
		line, err := reader.Next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
}

// endless is a line that does not end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}
