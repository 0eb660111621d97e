package main

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
)

// The servers run here in the process of the test, where goleak sees what they
// leave behind.

func TestServersEndWithTheirContext(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"dev --sandbox-addr 127.0.0.1:0",
		"serve --upstream-url https://api.slashid.com --drain-delay 0s",
	} {
		t.Run(strings.Fields(command)[0], func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(command), "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stderr := newOutput()
			ended := make(chan struct{})
			var code int
			go func() {
				defer close(ended)
				code = run(ctx, args, streams{nil, newOutput(), stderr})
			}()
			pattern := regexp.MustCompile(serving)
			if addrs, err := stderr.await(ctx, pattern, ended); err != nil {
				t.Errorf("it does not serve: %v", err)
			} else if err := awaitGRPC(addrs[pattern.SubexpIndex("GRPC")]); err != nil {
				t.Errorf("it does not answer: %v", err)
			}
			cancel()
			<-ended
			if code != exitOK {
				t.Errorf("exit code %d", code)
			}
			if t.Failed() {
				t.Log(stderr)
			}
		})
	}
}

func TestStartThatFailsLeavesNothingBound(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"serve, its first listener":   "serve --upstream-url https://api.slashid.com --grpc-addr TAKEN --http-addr FREE --admin-addr FREE",
		"serve, its last listener":    "serve --upstream-url https://api.slashid.com --grpc-addr FREE --http-addr FREE --admin-addr TAKEN",
		"dev, one of the façade":      "dev --grpc-addr FREE --http-addr TAKEN --admin-addr FREE --sandbox-addr FREE",
		"dev, that of the sandbox":    "dev --grpc-addr FREE --http-addr FREE --admin-addr FREE --sandbox-addr TAKEN",
		"dev, one of either":          "dev --grpc-addr FREE --http-addr FREE --admin-addr TAKEN --sandbox-addr TAKEN",
		"sandbox, its one and only":   "sandbox --addr TAKEN",
		"dev, which is misconfigured": "dev --grpc-addr FREE --http-addr FREE --admin-addr FREE --sandbox-addr FREE --regions Atlantis",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A port that was free can have gone to a test beside this one, but not
			// every time.
			var err error
			for range 5 {
				if err = startInVain(t, strings.Fields(command)); err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
}

// startInVain runs a command that must fail, with addresses that can be bound for
// FREE, and one that cannot for TAKEN. Its error is that one of the former cannot
// be bound after it.
func startInVain(t *testing.T, args []string) error {
	t.Helper()
	taken := listenOn(t, "127.0.0.1:0")
	defer taken.Close()
	var free []net.Listener
	for i, arg := range args {
		switch arg {
		case "TAKEN":
			args[i] = taken.Addr().String()
		case "FREE":
			free = append(free, listenOn(t, "127.0.0.1:0"))
			args[i] = free[len(free)-1].Addr().String()
		}
	}
	for _, l := range free { // all at the same time, so that no two are alike
		_ = l.Close()
	}
	stderr := newOutput()
	if code := run(t.Context(), args, streams{nil, newOutput(), stderr}); code == exitOK {
		t.Fatalf("it has started\n%s", stderr)
	}
	for _, l := range free {
		again, err := new(net.ListenConfig).Listen(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr)
		}
		_ = again.Close()
	}
	return nil
}

func listenOn(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
