package tokenlist

import (
	"bufio"
	"io"
	"strings"
	"sync/atomic"
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
	number int64
	offset atomic.Int64
}

// New returns a reader of the list in r.
func New(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReader(r)}
}

// Next returns the next line that is not empty, io.EOF at the end, or why reading failed
// and at which line. After an error there are no more lines.
func (r *Reader) Next() (Line, error) {
	for {
		text, err := r.in.ReadString('\n')
		r.offset.Add(int64(len(text)))
		if text == "" && err != nil {
			return Line{}, err
		}
		r.number++
		if token := strings.TrimSpace(text); token != "" {
			return Line{Number: r.number, Token: token}, nil
		}
	}
}

// Offset returns how many bytes of the list have been read.
func (r *Reader) Offset() int64 { return r.offset.Load() }
