package tokenlist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine is the maximum length of a line in bytes: four times the longest token, to leave room
// for other members of a JSON object. Longer lines are skipped and not kept in memory.
const maxLine = 64 << 10

// notLists has the errors for files that are not UTF-8 text, by their first bytes. Without it,
// every line would be reported, which would hide the cause.
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
	// Token is a token that quash accepts; "" if there is a Problem.
	Token string
	// Problem is the reason why the line has no token.
	Problem Problem
}

// Read reads a list to its end. If it fails, the error has the line number, and Read also
// returns the lines before that line.
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
		// Before a read error the text may be half a line, so it is dropped. At the end of the
		// list it is a line, even without a newline.
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
