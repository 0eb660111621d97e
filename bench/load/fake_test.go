package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// fake takes ghz's place, and that of quash: it revokes at the sandbox whose address it
// is given.
type fake struct {
	// revokes says whether it makes call i, or only says so.
	revokes func(i int) bool
	// hurry is how much before its time each answer is reported.
	hurry time.Duration
	// edit changes the report, which is a passing one.
	edit func(report map[string]any)
	// print writes it, unless this is ghz's way.
	print func(report []byte)
}

var fakeGHZ = map[string]fake{
	"honest-ghz":  {},
	"lying-ghz":   {revokes: func(i int) bool { return i != 2 }},
	"hasty-ghz":   {hurry: time.Minute},
	"lazy-ghz":    {edit: func(r map[string]any) { r["count"] = 3.0 }},
	"broken-ghz":  {print: func([]byte) { fmt.Print("Summary:") }},
	"failing-ghz": {print: func([]byte) { os.Exit(1) }},
	"endless-ghz": {print: func([]byte) { awaitInterrupt() }},
}

// awaitInterrupt waits for what never comes: a process that is killed has no time for it.
func awaitInterrupt() {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	<-interrupted
}

// install puts the fake of that name somewhere, as installGHZ does.
func install(t *testing.T, name string) (binary string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

func (f fake) main() {
	report, err := f.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if f.print != nil {
		f.print(report)
		return
	}
	_, _ = os.Stdout.Write(report)
}

// run makes the calls that come on standard input, and returns the report.
func (f fake) run() ([]byte, error) {
	recorded, err := os.ReadFile("testdata/ok.json")
	if err != nil {
		return nil, err
	}
	var report map[string]any
	if err := json.Unmarshal(recorded, &report); err != nil {
		return nil, err
	}
	var details []any
	for requests := bufio.NewReader(os.Stdin); ; {
		var req quashv1.RevokeRequest
		if err := protodelim.UnmarshalFrom(requests, &req); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if f.revokes == nil || f.revokes(len(details)) {
			if err := revoke(os.Args[len(os.Args)-1], &req); err != nil {
				return nil, err
			}
		}
		details = append(details, map[string]any{"status": "OK", "timestamp": time.Now().Add(-f.hurry)})
	}
	report["details"] = details
	if f.edit != nil {
		f.edit(report)
	}
	return json.Marshal(report)
}

// revoke asks the sandbox, as quash would.
func revoke(addr string, req *quashv1.RevokeRequest) error {
	call, err := http.NewRequest(http.MethodPost, "http://"+addr+"/token/revoke", strings.NewReader(`{"token":"`+req.GetToken()+`"}`))
	if err != nil {
		return err
	}
	call.Header.Set("SlashID-API-Key", "sandbox")
	call.Header.Set("Content-Type", "application/json")
	call.Header.Set("SlashID-Required-Consistency", strings.ToLower(strings.TrimPrefix(req.GetConsistency().String(), "CONSISTENCY_")))
	call.Header.Set("SlashID-Required-Consistency-Timeout", strconv.Itoa(int(req.GetTimeout().AsDuration().Seconds())))
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(call)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the sandbox answered %s", resp.Status)
	}
	return nil
}

// recorded is a report that ghz v0.121.0 wrote, as JSON to edit.
func recorded(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// read reads a report as a run does.
func read(t *testing.T, report map[string]any) *report {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	r, err := readReport(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
