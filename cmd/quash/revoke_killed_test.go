package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// haltingQuash revokes each token once, and rejects it after that. From one call on it
// answers nobody, until it goes on.
type haltingQuash struct {
	rejected error
	// loses is whether half of those calls never get to SlashID.
	loses bool

	mu      sync.Mutex
	asked   []string
	revoked map[string]bool
	halt    int // the first call that is not answered; 0 for none
	halted  chan struct{}
	resumed chan struct{}
}

func newHaltingQuash(t *testing.T) *haltingQuash {
	t.Helper()
	return &haltingQuash{rejected: answerNamed(t, "TOKEN_REJECTED"), revoked: map[string]bool{}}
}

// haltAfter has it halt when so many further calls have been answered.
func (h *haltingQuash) haltAfter(calls int) (halted <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halt, h.halted, h.resumed = len(h.asked)+calls+1, make(chan struct{}), make(chan struct{})
	return h.halted
}

func (h *haltingQuash) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halt = 0
	close(h.resumed)
}

func (h *haltingQuash) revoke(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	answer := &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}
	h.mu.Lock()
	h.asked = append(h.asked, req.GetToken())
	call, err, resumed := len(h.asked), error(nil), h.resumed
	halts := h.halt > 0 && call >= h.halt
	if call == h.halt {
		close(h.halted)
	}
	switch {
	case h.revoked[req.GetToken()]:
		err = h.rejected
	case halts && h.loses && call%2 == 1:
	default:
		h.revoked[req.GetToken()] = true
	}
	h.mu.Unlock()
	if halts {
		<-resumed
	}
	return answer, err
}

// check looks at what has come of a list of so many lines in the end, where so many calls
// were never answered.
func (h *haltingQuash) check(t *testing.T, lines, unanswered int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.revoked) != lines {
		t.Errorf("%d tokens are dead, want %d", len(h.revoked), lines)
	}
	if got := len(h.asked) - lines; got > unanswered {
		t.Errorf("%d calls too many, and only %d were not answered", got, unanswered)
	}
}

// inFlight is how many calls there are at a time.
const inFlight = 16

// listArgs are the arguments of a run over a list of so many lines.
func listArgs(t *testing.T, addr string, lines int) (args []string, report string) {
	t.Helper()
	var text strings.Builder
	for n := range lines {
		fmt.Fprintln(&text, leaked(n))
	}
	list := filepath.Join(t.TempDir(), "list")
	fill(t, list, text.String())
	report = list + ".json"
	return []string{"--addr", addr, "--file", list, "--report", report, "--concurrency", strconv.Itoa(inFlight)}, report
}

// A run that is killed, and killed again, is gone on with: in the end every token is
// dead, the report says so, and none was asked about again that had been answered.
func TestRevokeListKilled(t *testing.T) {
	t.Parallel()
	const lines = 2000
	quash := newHaltingQuash(t)
	quash.loses = true
	args, report := listArgs(t, startAnswering(t, quash.revoke), lines)
	kills := []int{0, 1, 300, 31, 1200}
	for _, calls := range kills {
		halted := quash.haltAfter(calls)
		p := newProcess(append([]string{"quash", "revoke"}, args...))
		must(t, p.start())
		<-halted
		p.kill()
		quash.resume()
		if p.fate() != syscall.SIGKILL.String() {
			t.Fatalf("it ended with %s by itself\n%s", p.fate(), p)
		}
	}
	if got := revoke(t, "", args...); got.code != exitOK {
		t.Errorf("it ended with %+v", got)
	}
	if text := contents(t, report); !strings.Contains(text, fmt.Sprintf("\"dead\": %d,", lines)) {
		t.Errorf("the report does not say that all are dead:\n%s", text)
	}
	quash.check(t, lines, len(kills)*inFlight)
}

// Ctrl-C finishes what is in flight, and nothing is asked about again by who goes on.
func TestRevokeListInterrupted(t *testing.T) {
	t.Parallel()
	const lines, calls = 200, 100
	quash := newHaltingQuash(t)
	args, report := listArgs(t, startAnswering(t, quash.revoke), lines)
	halted := quash.haltAfter(calls)
	p := newProcess(append([]string{"quash", "revoke"}, args...))
	must(t, p.start())
	defer p.kill()
	<-halted
	must(t, p.cmd.Process.Signal(os.Interrupt))
	_, err := p.await("stderr", regexp.MustCompile(`(?m)^quash: finishing what is in flight; a second Ctrl-C ends it at once$`))
	must(t, err)
	quash.resume()
	<-p.ended
	if p.fate() != strconv.Itoa(exitIncomplete) || !strings.Contains(p.stdout.String(), "INCOMPLETE: it was interrupted") {
		t.Errorf("it ended with %s\n%s", p.fate(), p)
	}
	if text := contents(t, report); !strings.Contains(text, `"complete": false`) {
		t.Errorf("the report says that it is complete:\n%s", text)
	}
	quash.mu.Lock()
	dead := len(quash.revoked)
	quash.mu.Unlock()
	if text := contents(t, report); !strings.Contains(text, fmt.Sprintf("\"dead\": %d,", dead)) || dead <= calls || dead > calls+inFlight {
		t.Errorf("%d tokens are dead, and the report says:\n%s", dead, text)
	}
	if got := revoke(t, "", args...); got.code != exitOK {
		t.Errorf("the next one ended with %+v", got)
	}
	quash.check(t, lines, 0)
}

// A second Ctrl-C waits for nothing.
func TestRevokeListInterruptedTwice(t *testing.T) {
	t.Parallel()
	quash := newHaltingQuash(t)
	args, _ := listArgs(t, startAnswering(t, quash.revoke), 2*inFlight)
	halted := quash.haltAfter(inFlight)
	defer quash.resume()
	p := newProcess(append([]string{"quash", "revoke"}, args...))
	must(t, p.start())
	defer p.kill()
	<-halted
	must(t, p.cmd.Process.Signal(os.Interrupt))
	_, err := p.await("stderr", regexp.MustCompile(`a second Ctrl-C ends it at once`))
	must(t, err)
	must(t, p.cmd.Process.Signal(os.Interrupt))
	<-p.ended
	if p.fate() != "INT" {
		t.Errorf("it ended with %s\n%s", p.fate(), p)
	}
}
