package tokenlist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line that is read, in bytes: the longest token, and three times
// as much for what else a JSON object has. Longer lines are skipped, not held.
const maxLine = 64 << 10

// notLists are files that are no text, or have another encoding, by how they begin. Each
// of their lines would have a problem, and the lines are not what is wrong.
var notLists = map[string]error{
	"\xFF\xFE":   errUTF16,
	"\xFE\xFF":   errUTF16,
	"\x1F\x8B":   errors.New("it is compressed: unpack the list first, for instance with gunzip"),
	"PK\x03\x04": errors.New("it is an archive or an office document: export the list as text"),
}

var errUTF16 = errors.New("it is UTF-16: convert the list to UTF-8, for instance with iconv -f UTF-16 -t UTF-8")

// Line is a line of a list that is not empty.
type Line struct {
	// Number counts all lines from 1, empty ones too.
	Number int64
	// Token is the token to revoke, of a form that quash takes; "" if there is a Problem.
	Token string
	// Problem is why there is none.
	Problem Problem
}

// Read reads a list to its end. If it fails, the error says at which line, and the lines
// before that one are returned as well.
func Read(r io.Reader) ([]Line, error) {
	in := bufio.NewReaderSize(r, maxLine)
	lines, err := read(in)
	markWrapped(lines)
	return lines, err
}

func read(in *bufio.Reader) (lines []Line, err error) {
	start, _ := in.Peek(4) // reading the first line finds the same error
	for beginning, what := range notLists {
		if bytes.HasPrefix(start, []byte(beginning)) {
			return nil, cannotRead(1, what)
		}
	}
	for number := int64(1); ; number++ {
		line := Line{Number: number}
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line.Problem = tooLong(text)
			err = skipLine(in)
		} else {
			line.Token, line.Problem = parse(text)
		}
		// The text before a failure may be half a line. The text before the end of the
		// list is a line, even without a newline.
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return lines, cannotRead(number, err)
		}
		if line.Token != "" || line.Problem != "" {
			lines = append(lines, line)
		}
		if ended {
			return lines, nil
		}
	}
}

func skipLine(in *bufio.Reader) error {
	for {
		if _, err := in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func cannotRead(line int64, err error) error {
	return fmt.Errorf("line %d of the list cannot be read: %w", line, err)
}
