package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// raceDetector is set in race_test.go.
var raceDetector bool

// BenchmarkRevoke measures one call at a time on one connection, for each endpoint. quash is
// configured as in production, and SlashID answers at once over HTTP/1.1. The time includes
// client and upstream; the allocations are quash's and, over gRPC, the client's.
func BenchmarkRevoke(b *testing.B) {
	for name, dial := range benchmarkedCalls(b) {
		b.Run(name, func(b *testing.B) {
			call := dial(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A call may allocate at most five percent more than recorded in testdata/allocations.json.
// Allocations cost time in the garbage collector and, unlike time, can be counted exactly.
//
// The test is not parallel, because allocations of other tests would be counted too.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates too")
	}
	const file, warmUp, calls = "testdata/allocations.json", 100, 1000
	counted := map[string]int{}
	for name, dial := range benchmarkedCalls(t) {
		call := dial(t)
		must := func() {
			if err := call(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for range warmUp {
			must()
		}
		counted[name] = int(testing.AllocsPerRun(calls, must))
	}
	if *server.Update {
		record, err := json.MarshalIndent(counted, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(record, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]int
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	for name, n := range counted {
		t.Logf("%s: %d allocations a call, %d on record", name, n, recorded[name])
		if n*100 > recorded[name]*105 {
			t.Errorf("%s: a call allocates %d times, and %d times by %s; if that is worth it, "+
				"go test ./service/server -run '^TestAllocations$' -update records it", name, n, recorded[name], file)
		}
	}
}

// benchmarkedCalls connect to a quash as it runs in production, except that spans and
// logs are discarded: metrics are ready to be scraped, one trace in a hundred is sampled.
func benchmarkedCalls(tb testing.TB) map[string]func(testing.TB) (call func() error) {
	tb.Helper()
	tb.Setenv("OTEL_SDK_DISABLED", "")
	tb.Setenv("OTEL_METRICS_EXPORTER", "prometheus")
	tb.Setenv("OTEL_TRACES_EXPORTER", "none")
	tb.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	tb.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.01")
	logger := slog.New(telemetry.WithTraceID(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // formatting is part of the cost
	observed, err := telemetry.New(tb.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { observed.Shutdown(context.WithoutCancel(tb.Context()), logger) })
	upstream := newUpstream(tb, serveBare(tb), func(cfg *slashid.Config) {
		cfg.Telemetry = slashid.Telemetry{
			Tracers: observed.Tracers, Meters: observed.Meters, Propagator: observed.Propagator,
		}
	})
	f := startFacade(tb, upstream, func(svc *service.Config, cfg *server.Config) {
		svc.Meter = observed.Meters.Meter("test")
		cfg.Telemetry, cfg.Logger = observed, logger
	})
	return map[string]func(testing.TB) func() error{
		"gRPC": func(testing.TB) func() error {
			req := &quashv1.RevokeRequest{Token: bareToken}
			return func() error {
				_, err := f.grpc.Revoke(context.Background(), req)
				return err
			}
		},
		"native":  func(tb testing.TB) func() error { return dialBare(tb, f.httpAddr(), nativePath, "HTTP/1.1 200 ") },
		"drop-in": func(tb testing.TB) func() error { return dialBare(tb, f.httpAddr(), dropInPath, "HTTP/1.1 204 ") },
	}
}

// The upstream and the REST client below write HTTP by hand and allocate nothing for a call,
// because the allocations of the whole process are counted.

// bareToken has the size of SlashID's tokens.
var bareToken = strings.Repeat("h", 40) + "." + strings.Repeat("c", 900) + "." + strings.Repeat("s", 80)

// serveBare runs a SlashID that revokes every token at once, and returns its URL.
func serveBare(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	answer := []byte("HTTP/1.1 204 No Content\r\nSlashID-Correlation-ID: 6f1c7f0e-6a1b-4a53-9d6c-0c3d1f6a2b4e\r\n\r\n")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				requests := bufio.NewReader(conn)
				for skipMessage(requests, "POST /token/revoke ") == nil {
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// dialBare returns a function that calls a REST endpoint over one connection.
func dialBare(tb testing.TB, addr, path, want string) (call func() error) {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	answers := bufio.NewReader(conn)
	body := `{"token":"` + bareToken + `"}`
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: quash\r\nUser-Agent: bare\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	return func() error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		return skipMessage(answers, want)
	}
}

// skipMessage reads an HTTP/1.1 message. Its first line must have the given prefix.
func skipMessage(r *bufio.Reader, first string) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte(first)) {
		return errors.New("not the message that was expected")
	}
	length := 0
	for len(line) > len("\r\n") {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}
