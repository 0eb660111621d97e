package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
)

// Servers that run in this process leave no goroutine behind: goleak checks that at the end.
func TestServersEndWithTheirContext(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"dev --sandbox-addr 127.0.0.1:0",
		"serve --upstream-url https://api.slashid.com --drain-delay 0s",
	} {
		t.Run(strings.Fields(command)[0], func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(command), "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stderr, w := io.Pipe()
			code := make(chan int, 1)
			go func() {
				code <- run(ctx, args, streams{in: nil, out: io.Discard, err: w})
				_ = w.Close()
			}()
			var log strings.Builder
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				log.WriteString(lines.Text() + "\n")
				if strings.Contains(lines.Text(), "serving") {
					cancel()
				}
			}
			if got := <-code; got != exitOK || ctx.Err() == nil {
				t.Errorf("exit code %d\n%s", got, &log)
			}
		})
	}
}
