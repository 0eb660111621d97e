package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// answers is what became of the calls of honest callers.
type answers struct {
	mu    sync.Mutex
	wrong []error
	took  []time.Duration // of those that were right
}

func (a *answers) add(took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.wrong = append(a.wrong, err)
		return
	}
	a.took = append(a.took, took)
}

// count is how many there are.
func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.took) + len(a.wrong)
}

// await returns when there are n.
func (a *answers) await(n int) {
	ticker := time.NewTicker(honestPace)
	defer ticker.Stop()
	for begun := time.Now(); a.count() < n && time.Since(begun) < patience; {
		<-ticker.C
	}
}

// latencies are the median and the maximum.
func (a *answers) latencies() string {
	if len(a.took) == 0 {
		return "-"
	}
	slices.Sort(a.took)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("%s, %s", round(a.took[len(a.took)/2]), round(a.took[len(a.took)-1]))
}

// honestPace is how often an honest caller calls, if it has its answer by then.
const honestPace = 20 * time.Millisecond

// callHonestly has one caller at every door revoke token after token, until done
// says so, and checks that each token is dead then.
func (s *besieged) callHonestly(t *testing.T, all *answers, done func(calls int) bool) {
	t.Helper()
	kept, err := s.newGRPC()
	if err != nil {
		t.Error(err)
		return
	}
	defer kept.Close()
	var callers sync.WaitGroup
	for _, call := range []func(ctx context.Context, token string) error{
		func(ctx context.Context, token string) error { return revokeOverGRPC(ctx, kept, token) },
		func(ctx context.Context, token string) error {
			conn, err := s.newGRPC()
			if err != nil {
				return err
			}
			defer conn.Close()
			return revokeOverGRPC(ctx, conn, token)
		},
		func(ctx context.Context, token string) error {
			return s.revokeOverREST(ctx, "/v1/tokens:revoke", token, http.StatusOK)
		},
		func(ctx context.Context, token string) error {
			return s.revokeOverREST(ctx, "/token/revoke", token, http.StatusNoContent)
		},
	} {
		callers.Go(func() {
			ticker := time.NewTicker(honestPace)
			defer ticker.Stop()
			for calls := 0; !done(calls); calls++ {
				all.add(s.revokeHonestly(t.Context(), call))
				<-ticker.C
			}
		})
	}
	callers.Wait()
}

func (s *besieged) revokeHonestly(ctx context.Context, call func(ctx context.Context, token string) error) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token, err := s.upstream.Mint(sandbox.MintOptions{})
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := call(ctx, token); err != nil {
		return 0, err
	}
	took = time.Since(begun)
	regions, err := s.upstream.Revoked(token)
	if err != nil {
		return 0, err
	}
	for region, dead := range regions {
		if !dead {
			return 0, fmt.Errorf("the token lives in %s", region)
		}
	}
	return took, nil
}

func (s *besieged) newGRPC() (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if s.tls != nil {
		creds = credentials.NewTLS(s.tls)
	}
	return grpc.NewClient(s.grpc, grpc.WithTransportCredentials(creds))
}

// revokeOverGRPC waits for a connection, as callers do that have a deadline.
func revokeOverGRPC(ctx context.Context, conn *grpc.ClientConn, token string) error {
	resp, err := quashv1.NewTokenServiceClient(conn).Revoke(ctx, &quashv1.RevokeRequest{Token: token}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("gRPC: %w", err)
	}
	if got := resp.GetOutcome(); got != quashv1.Outcome_OUTCOME_REVOKED {
		return fmt.Errorf("gRPC: the outcome is %s", got)
	}
	return nil
}

// revokeOverREST connects anew, so that it finds out how it is to come in.
func (s *besieged) revokeOverREST(ctx context.Context, path, token string, want int) error {
	url := "http://" + s.rest + path
	transport := &http.Transport{DisableKeepAlives: true}
	if s.tls != nil {
		url = "https://" + s.rest + path
		transport = &http.Transport{TLSClientConfig: s.tls.Clone(), ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"token":"`+token+`"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("REST: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("REST %s: %s", path, resp.Status)
	}
	return nil
}
