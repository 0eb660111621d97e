package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// A Fault is what happens to the next Count calls of POST /token/revoke instead
// of an answer of the emulator, or before it: first the delay, then the
// revocation if Apply asks for it, then the reset or the answer. A Fault with
// neither reset nor status lets the call through after the delay, so an empty one
// with a count holds back the faults behind it.
//
// A call uses up a Fault before its credentials and its body are looked at. The
// delay ends early when the client goes or the sandbox closes; the rest of the
// Fault still happens.
type Fault struct {
	// Count is the number of calls, 0 meaning 1.
	Count int

	// Delay is not negative. The consistency timeout begins after it.
	Delay time.Duration

	// Apply accepts the revocation for real, at no consistency level. It does not
	// happen if the call would be refused. Apply needs Reset or Status.
	Apply bool

	// Reset breaks the connection off without an answer, once the body has been
	// read: by a TCP reset in HTTP/1, by a stream reset in HTTP/2.
	Reset bool

	// Status is that of the answer, 200 to 599; informational ones are not
	// answers. Headers and Body go with it. A header with an empty value is left
	// out of the answer, slashid-correlation-id for instance. Without a
	// Content-Type, a Body of JSON is application/json and any other is guessed.
	Status  int
	Headers map[string]string
	Body    string
}

// Script lets faults happen after those already scripted, in order. It takes all
// of them or, when any is invalid, none; the error names every problem at once.
func (s *Sandbox) Script(faults ...Fault) error {
	var problems []error
	for i, f := range faults {
		if err := f.validate(); err != nil {
			problems = append(problems, fmt.Errorf("fault %d: %w", i+1, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("sandbox: invalid script: %w", err)
	}
	s.faults.add(faults)
	return nil
}

// Faults returns what is left of the script, Count being the calls still to come.
func (s *Sandbox) Faults() []Fault { return s.faults.remaining() }

// ClearFaults drops what is left of the script.
func (s *Sandbox) ClearFaults() { s.faults.clear() }

func (f Fault) validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	answers := f.Status != 0
	check(f.Count >= 0, "count %d is negative", f.Count)
	check(f.Delay >= 0, "delay %v is negative", f.Delay)
	check(!answers || 200 <= f.Status && f.Status <= 599, "status %d is outside 200 to 599", f.Status)
	check(!f.Reset || !answers, "reset and status exclude each other")
	check(!f.Apply || f.Reset || answers, "apply needs reset or status: a call that is let through applies by itself")
	check(answers || len(f.Headers) == 0, "headers need a status")
	check(answers || f.Body == "", "a body needs a status")
	check(f.Body == "" || f.Status != http.StatusNoContent && f.Status != http.StatusNotModified, "an answer with status %d has no body", f.Status)
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		check(httpguts.ValidHeaderFieldName(name), "%q is not a header name", name)
		check(httpguts.ValidHeaderFieldValue(f.Headers[name]), "the value of header %q has a control character", name)
	}
	return errors.Join(problems...)
}

// endsCall reports whether the emulator has no part in the answer.
func (f Fault) endsCall() bool { return f.Reset || f.Status != 0 }

// end ends the call as f says.
func (f Fault) end(w http.ResponseWriter) {
	if f.Reset {
		reset(w)
		return
	}
	if json.Valid([]byte(f.Body)) {
		w.Header().Set("Content-Type", "application/json")
	}
	for name, value := range f.Headers {
		if value == "" {
			w.Header().Del(name)
			continue
		}
		w.Header().Set(name, value)
	}
	w.WriteHeader(f.Status)
	// A failure to write means that the caller has gone.
	_, _ = io.WriteString(w, f.Body)
}

// reset breaks the connection off so that the client sees a reset, not an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// An HTTP/2 connection has other calls on it: only this one is broken off.
		panic(http.ErrAbortHandler)
	}
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn() // closing the TLS layer would say goodbye first
	}
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // close with RST, not FIN
	}
	_ = conn.Close()
}

// faultQueue is the faults still to come. Its zero value is empty.
type faultQueue struct {
	mu    sync.Mutex
	queue []Fault
}

func (q *faultQueue) add(faults []Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range faults {
		f.Count = max(f.Count, 1)
		f.Headers = maps.Clone(f.Headers)
		q.queue = append(q.queue, f)
	}
}

// next uses up one call of the first fault. The zero Fault changes nothing.
func (q *faultQueue) next() Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return Fault{}
	}
	f := q.queue[0]
	q.queue[0].Count--
	if q.queue[0].Count == 0 {
		q.queue = slices.Delete(q.queue, 0, 1)
	}
	return f
}

func (q *faultQueue) remaining() []Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.queue)
}

func (q *faultQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = nil
}
