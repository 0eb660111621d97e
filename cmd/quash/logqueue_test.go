package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// failingWriter fails until it is repaired.
type failingWriter struct {
	out    io.Writer
	broken bool
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.broken {
		return 0, errors.New("no space left on device")
	}
	return w.out.Write(p)
}

// Lines that nothing reads are dropped, counted, and reported once there is room.
func TestLogQueueDropsLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := newLogQueue(w, func(dropped int64) error {
			_, err := fmt.Fprintf(w, "dropped %d\n", dropped)
			return err
		})
		const extra = 50
		for n := range 1 + logQueueLines + extra {
			fmt.Fprintf(q, "line %d\n", n)
			if n == 0 {
				synctest.Wait() // the first line is at the pipe, which nothing reads
			}
		}
		if got := q.dropped.Load(); got != extra {
			t.Errorf("%d lines dropped, want %d", got, extra)
		}
		lines := bufio.NewScanner(r)
		for n := range 1 + logQueueLines {
			if want := fmt.Sprintf("line %d", n); !lines.Scan() || lines.Text() != want {
				t.Fatalf("got %q, want %q", lines.Text(), want)
			}
			if n == 0 {
				if want := fmt.Sprintf("dropped %d", extra); !lines.Scan() || lines.Text() != want {
					t.Fatalf("got %q, want %q", lines.Text(), want)
				}
			}
		}
		q.Close()
	})
}

// A writer that fails loses its lines, and no others.
func TestLogQueueSurvivesErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, pipe := io.Pipe()
		w := &failingWriter{out: pipe, broken: true}
		q := newLogQueue(w, func(dropped int64) error {
			_, err := fmt.Fprintf(w, "dropped %d\n", dropped)
			return err
		})
		fmt.Fprintln(q, "lost")
		synctest.Wait()
		w.broken = false
		fmt.Fprintln(q, "kept")
		go func() {
			q.Close()
			pipe.Close()
		}()
		got, err := io.ReadAll(r)
		if want := "kept\ndropped 1\n"; err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
}

// A reader that has stopped does not keep the process from ending.
func TestLogQueueClosesInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := newLogQueue(w, func(int64) error { return nil })
		fmt.Fprintln(q, "line")
		begun := time.Now()
		q.Close()
		if took := time.Since(begun); took != logCloseTimeout {
			t.Errorf("Close took %v, want %v", took, logCloseTimeout)
		}
		r.Close()
	})
}
