package tokenlist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// maxLine is the longest line that is read, in bytes: the longest token, and as much
// again and again for what else an object of JSON has. Longer ones are skipped.
const maxLine = 64 << 10

// noLists are files that are no text, or one in another encoding, by how they begin.
var noLists = map[string]error{
	"\xFF\xFE":   errUTF16,
	"\xFE\xFF":   errUTF16,
	"\x1F\x8B":   errCompressed,
	"PK\x03\x04": errors.New("it is an archive, or a document of an office program: export the list as text"),
}

var (
	errUTF16      = errors.New("it is UTF-16: convert the list to UTF-8, as with iconv -f UTF-16 -t UTF-8")
	errCompressed = errors.New("it is compressed: unpack the list first, as with gunzip")
)

// Line is a line of a list that is not empty.
type Line struct {
	// Number counts all lines from 1, empty ones too.
	Number int64
	// Token is the token to revoke, of a form that quash takes; "" if there is a Problem.
	Token string
	// Problem is why there is none.
	Problem Problem
}

// Reader reads a list. Only Offset may be called while another goroutine calls Next.
type Reader struct {
	in     *bufio.Reader
	number int64 // of the last line that was read
	offset atomic.Int64
	err    error // why there are no more lines

	ahead *Line // read already, to see how the line before it ends
	wrap  wrap
}

// New returns a reader of the list in r.
func New(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, maxLine)}
}

// Offset returns how many bytes of the list have been read.
func (r *Reader) Offset() int64 { return r.offset.Load() }

// Next returns the next line that is not empty, io.EOF at the end, or why reading failed
// and at which line. After an error there are no more lines.
func (r *Reader) Next() (Line, error) {
	for {
		line, err := r.line()
		if err != nil {
			return Line{}, err
		}
		switch part := partOf(line); {
		case r.wrap.goesOn(part):
			r.wrap = r.wrap.with(part)
			line = Line{Number: line.Number, Problem: WrapGoesOn}
		case part.begins && !part.whole:
			r.wrap = begin(part)
			next, err := r.peek()
			if err != nil && !errors.Is(err, io.EOF) {
				return Line{}, err // whether this line is a token is not known
			}
			if r.wrap.goesOn(partOf(next)) {
				line = Line{Number: line.Number, Problem: WrapBegins}
			}
		default:
			r.wrap = begin(part)
		}
		if line.Token != "" || line.Problem != "" {
			return line, nil
		}
	}
}

// peek returns the line after the one that was read last, and leaves it there.
func (r *Reader) peek() (Line, error) {
	line, err := r.line()
	if err != nil {
		return Line{}, err
	}
	r.ahead = &line
	return line, nil
}

// line returns the next line, empty ones too, which have neither token nor problem.
func (r *Reader) line() (Line, error) {
	if ahead := r.ahead; ahead != nil {
		r.ahead = nil
		return *ahead, nil
	}
	if r.err != nil {
		return Line{}, r.err
	}
	r.number++
	if r.number == 1 {
		if err := r.checkBeginning(); err != nil {
			return Line{}, r.fail(err)
		}
	}
	text, err := r.in.ReadSlice('\n')
	r.offset.Add(int64(len(text)))
	line := Line{Number: r.number}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		line.Problem = tooLong(text)
		err = r.skip()
	case err == nil || errors.Is(err, io.EOF):
		line.Token, line.Problem = parse(text)
	}
	// What comes before the end of the list is a line, even without an end of its own.
	// What comes before a failure may be half of one.
	if errors.Is(err, io.EOF) {
		r.err = io.EOF
		return line, nil
	}
	if err != nil {
		return Line{}, r.fail(err)
	}
	return line, nil
}

func (r *Reader) fail(err error) error {
	r.err = fmt.Errorf("line %d of the list cannot be read: %w", r.number, err)
	return r.err
}

// skip reads up to the end of the line.
func (r *Reader) skip() error {
	for {
		text, err := r.in.ReadSlice('\n')
		r.offset.Add(int64(len(text)))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// checkBeginning tells what is no list by its first bytes. Each of its lines would have
// a problem, and that is none of theirs.
func (r *Reader) checkBeginning() error {
	start, err := r.in.Peek(4)
	for beginning, what := range noLists {
		if bytes.HasPrefix(start, []byte(beginning)) {
			return what
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
