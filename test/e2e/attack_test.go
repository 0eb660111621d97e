package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/sandbox"
)

// attackCase is a server and attacks that run against it concurrently.
type attackCase struct {
	name   string
	secure bool // over TLS, with which REST has HTTP/2
	flags  []string
	// bound is the maximum growth of the server's memory during the attacks, in MiB,
	// compared to honest callers alone.
	bound int64
	// alone is true if honest callers call only before and after the attacks, because the
	// attacks exceed a limit that both share.
	alone   bool
	attacks []attack
}

// attack is one attack over gRPC or REST. It returns when the server has ended it, or, if no
// limit of the server ends it, after a while.
type attack struct {
	name, over string
	do         func(a *attacker)
}

const overREST = "REST"

// Hostile clients attack quash while honest callers use it. Its memory stays bounded, and
// honest callers get correct answers during and after the attacks. The cases do not run in
// parallel with each other or with other tests, because without a free CPU for the garbage
// collector the memory grows.
func TestAttacks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux: the memory of a process is read from /proc")
	}
	if raceDetector() {
		t.Skip("the race detector multiplies the memory")
	}
	if testing.Short() {
		t.Skip("takes a minute")
	}
	for _, c := range attackCases() {
		t.Run(c.name, c.run)
	}
}

func attackCases() []attackCase {
	slow := []string{"--header-timeout=2s", "--transfer-timeout=2s", "--idle-timeout=2s"}
	const fewStreams = "--max-streams-per-connection=100"
	cases := []attackCase{
		{name: "slow", flags: slow, bound: 128, attacks: []attack{
			{"a header in drips", overREST, text(100, halfHeader, true)},
			{"a body in drips", overREST, text(100, halfBody+strings.Repeat(" ", 50_000), true)},
			{"silence", overREST, text(100, "", false)},
			{"silence", overGRPC, text(100, "", false)},
			{"SETTINGS only", overGRPC, frames(20, 0, nothing)},
			{"a header, no message", overGRPC, frames(1, 1000, onlyHeader)},
			{"half a message", overGRPC, frames(10, 100, halfMessage)},
		}},
		{name: "slow, over TLS", secure: true, flags: slow, bound: 160, attacks: []attack{
			{"silence", overREST, text(100, "", false)},
			{"silence", overGRPC, text(100, "", false)},
			{"SETTINGS only", overREST, frames(20, 0, nothing)},
			{"half a HEADERS frame", overREST, frames(20, 0, halfFrame)},
			{"half a body", overREST, frames(40, 5, halfMessage)},
		}},
		{name: "more half-sent requests than the limit", flags: append(slow, "--max-arriving=300"), alone: true, bound: 160, attacks: []attack{
			{"half a message", overGRPC, frames(30, 100, halfMessage)},
			{"a body in drips", overREST, text(100, halfBody+strings.Repeat(" ", 50_000), true)},
		}},
		{name: "large", bound: 96, attacks: slices.Concat(headers(overGRPC), []attack{
			{"64 MB", overGRPC, hugeMessage},
			{"64 MB to drop-in", overREST, hugeBody(dropInPath, false)},
			{"64 MB to native, in chunks", overREST, hugeBody(nativePath, true)},
			{"64 MB to nowhere", overREST, hugeBody("/", false)},
			{"a header of 100,000 bytes", overREST, text(40, halfHeader+strings.Repeat("~", 100_000), false)},
			{"10,000 headers", overREST, text(40, halfHeader+strings.Repeat("~\r\nX: ", 10_000)+"\r\n\r\n", false)},
		})},
		{name: "large, over TLS", secure: true, bound: 96, attacks: append(headers(overREST),
			attack{"64 MB", overREST, hugeMessage},
		)},
		{name: "unread", flags: []string{fewStreams}, bound: 128, attacks: []attack{
			{"answers to a window of 0", overGRPC, closedWindow("/grpc.health.v1.Health/Check")},
			{"watching health in a window of 0", overGRPC, closedWindow("/grpc.health.v1.Health/Watch")},
			{"calls", overGRPC, unreadCalls},
			{"pipelined requests", overREST, unreadPipeline},
		}},
		{name: "unread, over TLS", secure: true, flags: []string{fewStreams}, bound: 128, attacks: []attack{
			{"answers to a window of 0", overREST, closedWindow(nativePath)},
		}},
		// grpc-go queues 43 KB for each frame of settings that it cannot acknowledge.
		{name: "unread settings", bound: 64, attacks: []attack{{"SETTINGS behind unread answers", overGRPC, unreadSettings}}},
		{name: "connections beyond the limit", flags: []string{"--max-connections=50"}, bound: 64, attacks: []attack{
			{"connections", overGRPC, manyConnections},
			{"connections", overREST, manyConnections},
		}},
	}
	// A server that queued an answer to each frame, or stored each frame, would grow by a
	// hundred bytes or more per frame. net/http keeps up to five times the stream limit of
	// streams that are reset before their handlers start.
	plain := attackCase{name: "floods", bound: 128}
	secure := attackCase{name: "floods, over TLS", secure: true, bound: 256}
	for _, f := range floods {
		plain.attacks = append(plain.attacks, attack{f.name, overGRPC, flood(f.n, f.frame, false)}, attack{f.name + ", unread", overGRPC, flood(f.n, f.frame, true)})
		secure.attacks = append(secure.attacks, attack{f.name, overREST, flood(f.n, f.frame, false)}, attack{f.name + ", unread", overREST, flood(f.n, f.frame, true)})
	}
	return append(cases, plain, secure)
}

// headers returns attacks with large HTTP/2 headers.
func headers(over string) []attack {
	return []attack{
		{"a header of 100,000 bytes", over, frames(20, 0, hugeHeader(1))},
		{"10,000 headers", over, frames(20, 0, hugeHeader(10_000))},
		{"390 MB of headers in 100,000 bytes of HPACK", over, frames(20, 0, hpackBomb(4000))},
		{"100,000 headers in 100,000 bytes of HPACK", over, frames(20, 0, hpackBomb(1))},
	}
}

func (c attackCase) run(t *testing.T) {
	v := startVictim(t, c)
	v.callHonestly(t, func() bool { return v.honest.Load() >= 40 })
	before := v.memory(t, "VmRSS")
	if err := os.WriteFile(v.proc("clear_refs"), []byte("5"), 0o600); err != nil { // resets VmHWM
		t.Fatal(err)
	}
	var attacks, honest sync.WaitGroup
	attacked := make(chan struct{})
	if !c.alone {
		connected := v.honest.Load() + 8
		honest.Go(func() { v.callHonestly(t, func() bool { return closed(attacked) }) })
		eventually(t, "honest callers are connected", func() bool { return v.honest.Load() >= connected || t.Failed() })
	}
	for _, attack := range c.attacks {
		attacks.Go(func() { attack.do(&attacker{T: t, victim: v, attack: attack}) })
	}
	attacks.Wait()
	close(attacked)
	honest.Wait()
	peak := v.memory(t, "VmHWM")
	t.Logf("%d -> %d MiB; %d honest calls", before>>20, peak>>20, v.honest.Load())
	if grown := (peak - before) >> 20; grown > c.bound {
		t.Errorf("memory grew by %d MiB, more than %d MiB", grown, c.bound)
	}
	enough := v.honest.Load() + 40
	v.callHonestly(t, func() bool { return v.honest.Load() >= enough })
	v.stop(t)
}

// victim is quash in front of a sandbox.
type victim struct {
	*instance

	slashid *sandbox.Server
	honest  atomic.Int64 // calls of honest callers that were answered
}

func startVictim(t *testing.T, c attackCase) *victim {
	t.Helper()
	v := &victim{slashid: sandbox.Start(t, sandbox.Config{})}
	flags := append([]string{"--upstream-api-key-file", write(t, sandbox.DefaultAPIKey), "--drain-delay", "0s"}, c.flags...)
	if !c.secure {
		v.instance = serve(t, v.slashid.URL, flags...)
		return v
	}
	ca := pkitest.NewCA("authority")
	cert, key := pkitest.PEM(ca.Issue(&x509.Certificate{IPAddresses: loopback}))
	v.instance = serve(t, v.slashid.URL, append(flags, "--tls-cert-file", write(t, string(cert)), "--tls-key-file", write(t, string(key)))...)
	v.tls = &tls.Config{RootCAs: pkitest.Pool(ca)}
	return v
}

func (v *victim) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", v.PID(), name) }

// memory returns a field of /proc/PID/status in bytes: VmRSS, or VmHWM for the peak.
func (v *victim) memory(t *testing.T, field string) int64 {
	t.Helper()
	status, err := os.ReadFile(v.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), field+":")
	var kB int64
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// callHonestly runs four callers until done. Each revokes one token after another, and each
// token must be dead after its call. One caller keeps its gRPC connection; the others use one
// transport each, with a new connection for every call.
func (v *victim) callHonestly(t *testing.T, done func() bool) {
	t.Helper()
	kept := v.dial(t)
	var callers sync.WaitGroup
	for _, revoke := range []func(ctx context.Context, token string) error{
		func(ctx context.Context, token string) error { return revokeOver(ctx, kept, token) },
		func(ctx context.Context, token string) error {
			conn := v.dial(t)
			defer conn.Close()
			return revokeOver(ctx, conn, token)
		},
		func(ctx context.Context, token string) error { return v.post(ctx, nativePath, token) },
		func(ctx context.Context, token string) error { return v.post(ctx, dropInPath, token) },
	} {
		callers.Go(func() {
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			for ; !done(); <-ticker.C {
				token, err := v.slashid.Mint(sandbox.MintOptions{})
				if err == nil {
					err = revoke(t.Context(), token)
				}
				if everywhere, _ := revokedIn(t, v.slashid, token); err != nil || !everywhere {
					t.Errorf("an honest call: %v, revoked everywhere %t", err, everywhere)
					return
				}
				v.honest.Add(1)
			}
		})
	}
	callers.Wait()
}

// revokeOver waits for the connection, as callers with a deadline do.
func revokeOver(ctx context.Context, conn *grpc.ClientConn, token string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := quashv1.NewTokenServiceClient(conn).Revoke(ctx, &quashv1.RevokeRequest{Token: token}, grpc.WaitForReady(true))
	return err
}

func (v *victim) post(ctx context.Context, path, token string) error {
	client := v.client()
	client.Timeout = patience
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url()+path, strings.NewReader(`{"token":"`+token+`"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}
