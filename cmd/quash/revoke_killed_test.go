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

// haltingQuash revokes each token once, and rejects it after that. From one call on it
// does not answer until it is resumed.
type haltingQuash struct {
	rejected error
	// loses is whether half of the calls that it does not answer never get to SlashID.
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

// startRevoke starts quash revoke as a process.
func startRevoke(t *testing.T, args []string) *proctest.Process {
	t.Helper()
	p, err := proctest.Start(exec.Command("quash", append([]string{"revoke"}, args...)...))
	must(t, err)
	t.Cleanup(p.Kill)
	return p
}

// interrupt is Ctrl-C, and waits until the run says that it has noticed.
func interrupt(t *testing.T, p *proctest.Process) {
	t.Helper()
	must(t, p.Signal(os.Interrupt))
	_, err := p.Await(p.Stderr, regexp.MustCompile(`(?m)^quash: finishing the calls in flight; press Ctrl-C again to stop at once$`))
	must(t, err)
}

// A run that is killed again and again is resumed: in the end every token is dead, the
// report says so, and no token was sent again for which there was an answer.
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
			t.Fatalf("it ended by itself\n%s", p)
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

// Ctrl-C finishes what is in flight, and the next run sends nothing again.
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

// A second Ctrl-C waits for nothing.
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

// Ctrl-C also ends the program that reads the output. The run goes on to its end.
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
