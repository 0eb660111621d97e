package compare

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/quashdev/quash/bench/load"
	"github.com/quashdev/quash/bench/measure"
)

// pace is the number and the duration of measurements.
type pace struct {
	rounds   int           // rounds of short measurements
	lasts    time.Duration // duration of a short measurement
	long     int           // rounds of the longer measurements: those in inflight with a target for memory, and bulk
	fraction int           // divides the calls in flight, the tokens of a list and the time to recover; 1 for a full run
	starts   int           // number of starts of quash
}

var (
	fullPace  = pace{rounds: 5, lasts: 2500 * time.Millisecond, long: 3, fraction: 1, starts: 20}
	quickPace = pace{rounds: 1, lasts: 300 * time.Millisecond, long: 1, fraction: 10, starts: 2}
)

// parts are the parts of a run in their order. Each returns its section of the page.
var parts = []struct {
	name    string
	measure func(ctx context.Context, e *env) (markdown string, err error)
}{
	{"cost", measureCost},
	{"inflight", measureInFlight},
	{"added", measureAdded},
	{"guarantees", measureGuarantees},
	{"recovery", measureRecovery},
	{"bulk", measureBulk},
	{"ready", measureReady},
}

// Command runs the subcommand.
func Command(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	quash := flags.String("quash", "bin/quash", "path of the quash binary to measure")
	usual := flags.String("usual", ".build/usual-parts", "path of the binary of the usual parts")
	ghz := flags.String("ghz", ".build/ghz", "path of the ghz binary")
	page := flags.String("page", "", "Markdown page whose tables to replace (default: only print the tables)")
	only := flags.String("only", "", "measure only this part: cost, inflight, added, guarantees, recovery, bulk or ready (default: all parts)")
	quick := flags.Bool("quick", false, "run one short round of each part, to try the program; the figures mean nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := fullPace
	if *quick {
		p = quickPace
	}
	if *page != "" && (*quick || *only != "") {
		return errors.New("-page needs a complete run: remove -quick and -only")
	}
	tmp, err := os.MkdirTemp("", "quash-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	e, err := newEnv(*quash, *usual, *ghz, tmp, p)
	if err != nil {
		return err
	}
	machine, err := e.describeMachine(ctx)
	if err != nil {
		return err
	}
	sections := []string{machine}
	for _, part := range parts {
		if *only != "" && *only != part.name {
			continue
		}
		section, err := part.measure(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		sections = append(sections, section)
	}
	tables := strings.Join(sections, "\n")
	fmt.Println(tables)
	if *page == "" {
		return nil
	}
	return writePage(*page, tables)
}

// bulkTokens is the number of tokens in a list.
const bulkTokens = 100_000

// measureBulk compares quash revoke with ghz.
func measureBulk(ctx context.Context, e *env) (string, error) {
	return load.Bulk(ctx, e.quash, e.ghz, filepath.Join(e.tmp, "quash.log"), bulkTokens/e.pace.fraction, e.pace.long)
}

// describeMachine returns a table with the machine, the date and the versions of the run.
func (e *env) describeMachine(ctx context.Context) (string, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return "", err
	}
	cpus, err := proc.CPUInfo()
	if err != nil {
		return "", err
	}
	versions := []string{"harness " + runtime.Version()}
	for _, command := range [][]string{{e.quash, "version"}, {e.nginx, "-v"}} {
		if command[0] == "" {
			continue // nginx is not installed
		}
		version, err := exec.CommandContext(ctx, command[0], command[1]).CombinedOutput() //nolint:gosec // measured programs
		if err != nil {
			return "", fmt.Errorf("get the version of %s: %w", command[0], err)
		}
		versions = append(versions, string(bytes.TrimSpace(version)))
	}
	t := measure.NewTable("run", "")
	t.Add("date", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	t.Add("machine", fmt.Sprintf("%s, %d cores, which callers, contender and upstream share", cpus[0].ModelName, len(cpus)))
	t.Add("versions", strings.Join(versions, "; "))
	t.Add("rounds", fmt.Sprintf("%d of %s each; longer measurements: %d", e.pace.rounds, e.pace.lasts, e.pace.long))
	return t.String(), nil
}

// The tables are between these lines of the page.
const (
	begins = "<!-- make bench writes from here -->\n"
	ends   = "<!-- to here -->\n"
)

// writePage replaces the tables of a page.
func writePage(path, tables string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := bytes.Cut(page, []byte(begins))
	_, after, ended := bytes.Cut(rest, []byte(ends))
	if !begun || !ended {
		return fmt.Errorf("%s has no lines %q and %q", path, strings.TrimSpace(begins), strings.TrimSpace(ends))
	}
	page = slices.Concat(before, []byte(begins+"\n"+tables+"\n"+ends), after)
	return os.WriteFile(path, page, 0o644) //nolint:gosec // a document
}

// megabytes returns a table cell in MB, which are 10⁶ bytes.
func megabytes(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/1e6) }

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
