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

// A Fault changes how the next Count calls of POST /token/revoke are answered: first the
// delay, then the revocation if Apply is set, then the reset or the scripted answer. With
// neither Reset nor Status, the call is processed normally after the delay, so a Fault that
// has only a Count postpones the faults after it.
//
// A call consumes a Fault before its credentials and its body are checked. The delay ends
// early when the client disconnects or the sandbox closes; the rest of the Fault still
// happens.
type Fault struct {
	// Count is the number of calls; 0 means 1.
	Count int

	// Delay must not be negative. The consistency timeout starts after it.
	Delay time.Duration

	// Apply starts the revocation for real, without waiting for a consistency level. A
	// call that would be rejected revokes nothing. Apply needs Reset or Status.
	Apply bool

	// Reset breaks the connection without an answer, after the body has been read: with
	// a TCP reset in HTTP/1, with a stream reset in HTTP/2.
	Reset bool

	// Status is the status of the answer, 200 to 599. Headers and Body need a Status. An
	// empty header value removes a header that the sandbox sets, such as
	// slashid-correlation-id. Without a Content-Type header, a JSON Body is
	// application/json, and the type of any other Body is guessed.
	Status  int
	Headers map[string]string
	Body    string
}

// Script adds faults after those already scripted. If one is invalid, none is added, and
// the error names every problem.
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

// Faults returns the remaining faults. Their Count is the number of remaining calls.
func (s *Sandbox) Faults() []Fault { return s.faults.remaining() }

// ClearFaults drops the remaining faults.
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
	check(!f.Apply || f.Reset || answers, "apply needs reset or status: without them the call is processed normally")
	check(answers || len(f.Headers) == 0, "headers need a status")
	check(answers || f.Body == "", "a body needs a status")
	check(f.Body == "" || f.Status != http.StatusNoContent && f.Status != http.StatusNotModified, "an answer with status %d has no body", f.Status)
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		check(httpguts.ValidHeaderFieldName(name), "%q is not a header name", name)
		check(httpguts.ValidHeaderFieldValue(f.Headers[name]), "the value of header %q has a control character", name)
	}
	return errors.Join(problems...)
}

// endsCall reports whether f replaces the sandbox's own answer.
func (f Fault) endsCall() bool { return f.Reset || f.Status != 0 }

// end resets the connection or writes the scripted answer.
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
	// A write fails only when the client has disconnected.
	_, _ = io.WriteString(w, f.Body)
}

// reset breaks the connection so that the client sees a reset, not an orderly close.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// An HTTP/2 connection carries other calls: reset only this stream.
		panic(http.ErrAbortHandler)
	}
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn() // closing the TLS layer would send close_notify first
	}
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // close with RST, not FIN
	}
	_ = conn.Close()
}

// faultQueue holds the remaining faults. Its zero value is empty.
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

// next consumes one call of the first fault. It returns the zero Fault, which changes
// nothing, if none remains.
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
