package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	calls := flag.String("calls", "1000,5000,10000", "how many calls to hold at once, one run for each")
	limit := flag.String("memory", "off", "quash's GOMEMLIMIT: the chart sets nine tenths of the container's limit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := report(ctx, *calls, *limit, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "waiting:", err)
		os.Exit(1)
	}
}

// most is how many calls quash takes at once unless it is told otherwise.
const most = 10_000

// parseCalls reads numbers of calls.
func parseCalls(text string) (numbers []int, err error) {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("-calls: %q is no number from 1 to %d", field, most)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// report measures, and prints a table.
func report(ctx context.Context, calls, memory string, w io.Writer) error {
	numbers, err := parseCalls(calls)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "quash-waiting-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	binary, err := build(ctx, tmp)
	if err != nil {
		return err
	}
	setting := setting{binary: binary, tmp: tmp, memory: memory}
	rows := []string{"calls\tdoor\tresident at rest\tresident\ta call\tlive heap\ta call\tgoroutines\t\n"}
	for _, door := range doors {
		for _, n := range numbers {
			rest, waiting, err := hold(ctx, setting, door, n)
			if err != nil {
				return fmt.Errorf("%d calls over %s: %w", n, door.name, err)
			}
			rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", n, door.name,
				mebibytes(rest.resident), mebibytes(waiting.resident), each(waiting.resident-rest.resident, n),
				mebibytes(waiting.heap), each(waiting.heap-rest.heap, n), waiting.goroutines))
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = io.WriteString(table, strings.Join(rows, ""))
	return table.Flush()
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

func each(bytes int64, n int) string {
	return fmt.Sprintf("%.1f KiB", float64(bytes)/float64(n)/(1<<10))
}

// patience is far longer than anything here takes; the calls themselves give up after
// two minutes.
const patience = 100 * time.Second

// hold measures a fresh quash at rest, and while n calls wait. They must all succeed in
// the end, or what was measured was something else.
func hold(ctx context.Context, where setting, d door, n int) (rest, waiting sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, err := newUpstream(ctx)
	if err != nil {
		return rest, waiting, err
	}
	defer u.close()
	q, err := startQuash(ctx, where, u)
	if err != nil {
		return rest, waiting, err
	}
	defer q.kill()
	if rest, err = q.measure(ctx); err != nil {
		return rest, waiting, err
	}
	c, err := d.open(q)
	if err != nil {
		return rest, waiting, err
	}
	defer c.Close()
	onTheWay, answers := make(chan struct{}, begin), make(chan error, n)
	go makeCalls(ctx, c, n, onTheWay, answers)
	if err := u.await(ctx, n, onTheWay, answers); err != nil {
		return rest, waiting, err
	}
	if waiting, err = q.measure(ctx); err != nil {
		return rest, waiting, err
	}
	u.release()
	var failures []error
	for range n {
		if err := <-answers; err != nil && len(failures) < 3 {
			failures = append(failures, err)
		}
	}
	return rest, waiting, errors.Join(failures...)
}
