package proctest

import (
	"bytes"
	"io"
	"sync"
)

// keep limits how much of an output is kept, because processes of benchmarks can log a lot.
const keep = 16 << 20

// Output is what a process has written to a stream so far, up to 16 MiB.
type Output struct {
	copyTo io.Writer

	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced when there is more
}

func newOutput(copyTo io.Writer) *Output {
	if copyTo == nil {
		copyTo = io.Discard
	}
	return &Output{copyTo: copyTo, grown: make(chan struct{})}
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p[:min(len(p), keep-o.text.Len())])
	close(o.grown)
	o.grown = make(chan struct{})
	return o.copyTo.Write(p)
}

// read returns the text, and a channel that is closed when there is more.
func (o *Output) read() (text string, grown <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.grown
}

// String returns the text.
func (o *Output) String() string {
	text, _ := o.read()
	return text
}
