package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/proctest"
)

// haltingQuash revokes each token once, and rejects it after that. From the call halt on it does
// not answer until it is resumed.
type haltingQuash struct {
	rejected error
	// loses means that half of the calls without an answer do not reach SlashID.
	loses bool

	mu      sync.Mutex
	asked   []string
	revoked map[string]bool
	halt    int // the first call that is not answered; 0 if all are answered
	halted  chan struct{}
	resumed chan struct{}
}

func newHaltingQuash(t *testing.T) *haltingQuash {
	t.Helper()
	return &haltingQuash{rejected: answerNamed(t, "TOKEN_REJECTED"), revoked: map[string]bool{}}
}

// haltAfter makes quash halt after that number of further calls.
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

// check verifies that all tokens of a list are dead, and that the number of calls beyond one
// per token is at most the number of unanswered calls.
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

// inFlight is the concurrency of the runs.
const inFlight = 16

// listArgs returns the arguments for a run over a list of lines tokens.
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

// startRevoke starts quash revoke as a process.
func startRevoke(t *testing.T, args []string) *proctest.Process {
	t.Helper()
	p, err := proctest.Start(exec.Command("quash", append([]string{"revoke"}, args...)...))
	must(t, err)
	t.Cleanup(p.Kill)
	return p
}

// interrupt sends Ctrl-C, and waits until the run reports it.
func interrupt(t *testing.T, p *proctest.Process) {
	t.Helper()
	must(t, p.Signal(os.Interrupt))
	_, err := p.Await(p.Stderr, regexp.MustCompile(`(?m)^quash: finishing the calls in flight; press Ctrl-C again to stop at once$`))
	must(t, err)
}

// A run that is killed several times can be resumed: in the end every token is dead, the report
// says so, and no token with an answer was sent again.
func TestRevokeListKilled(t *testing.T) {
	t.Parallel()
	const lines = 2000
	quash := newHaltingQuash(t)
	quash.loses = true
	args, report := listArgs(t, startAnswering(t, quash.revoke), lines)
	kills := []int{0, 1, 300, 31, 1200}
	for _, calls := range kills {
		halted := quash.haltAfter(calls)
		p := startRevoke(t, args)
		<-halted
		p.Kill()
		quash.resume()
		if status := p.State().Sys().(syscall.WaitStatus); !status.Signaled() {
			t.Fatalf("it was not killed\n%s", p)
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

// Ctrl-C finishes the calls in flight, and the next run sends no token again.
func TestRevokeListInterrupted(t *testing.T) {
	t.Parallel()
	const lines, calls = 200, 100
	quash := newHaltingQuash(t)
	args, report := listArgs(t, startAnswering(t, quash.revoke), lines)
	halted := quash.haltAfter(calls)
	p := startRevoke(t, args)
	<-halted
	interrupt(t, p)
	quash.resume()
	must(t, p.Wait())
	if p.State().ExitCode() != exitIncomplete || !strings.Contains(p.Stdout.String(), "INCOMPLETE: the run was interrupted") {
		t.Errorf("it ended with %s\n%s", p.State(), p)
	}
	quash.mu.Lock()
	dead := len(quash.revoked)
	quash.mu.Unlock()
	if dead <= calls || dead > calls+inFlight {
		t.Errorf("%d tokens are dead", dead)
	}
	text := contents(t, report)
	for _, want := range []string{`"complete": false`, fmt.Sprintf("\"dead\": %d,", dead), fmt.Sprintf("\"not_asked\": %d,", lines-dead)} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %s:\n%s", want, text)
		}
	}
	if got := revoke(t, "", args...); got.code != exitOK {
		t.Errorf("the next run ended with %+v", got)
	}
	quash.check(t, lines, 0)
}

// A second Ctrl-C ends the run at once.
func TestRevokeListInterruptedTwice(t *testing.T) {
	t.Parallel()
	quash := newHaltingQuash(t)
	args, _ := listArgs(t, startAnswering(t, quash.revoke), 2*inFlight)
	halted := quash.haltAfter(inFlight)
	defer quash.resume()
	p := startRevoke(t, args)
	<-halted
	interrupt(t, p)
	must(t, p.Signal(os.Interrupt))
	must(t, p.Wait())
	if status := p.State().Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %s\n%s", p.State(), p)
	}
}

// Ctrl-C also ends the program that reads the output. The run continues to its end.
func TestRevokeListWithoutAReader(t *testing.T) {
	t.Parallel()
	var quash revoking
	addr := startAnswering(t, quash.revoke)
	dir := t.TempDir()
	list, report := filepath.Join(dir, "list"), filepath.Join(dir, "report.json")
	fill(t, list, "no token\n"+leaked(1)+"\n")
	cmd := exec.CommandContext(t.Context(), "quash", "revoke", "--addr", addr, "--file", list, "--report", report)
	r, w, err := os.Pipe()
	must(t, err)
	must(t, r.Close())
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Run()
	must(t, w.Close())
	if cmd.ProcessState.ExitCode() != exitIncomplete || !strings.Contains(contents(t, report), `"complete": true`) || len(quash.tokens()) != 1 {
		t.Errorf("it ended with %v, having sent %d tokens", err, len(quash.tokens()))
	}
}
