package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quashdev/quash/bench/internal/quashdev"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

const (
	callers = 20
	// between is what a caller waits from call to call, on average.
	between = 400 * time.Millisecond
	// burst is how many calls come at once, every now and then: more than may.
	burst      = 60
	burstEvery = 10 * time.Second
)

// load calls quash over all doors, and reads no answer: what these are is measured by
// quash, and is what this is about.
type load struct {
	quash   *quashdev.Process
	channel *grpc.ClientConn
	rest    *http.Client
}

func newLoad(q *quashdev.Process, a *authority) (*load, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: a.pool()}
	channel, err := grpc.NewClient("passthrough:///"+q.GRPC,
		grpc.WithTransportCredentials(credentials.NewTLS(trust)), grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	rest := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: callers}}
	return &load{q, channel, rest}, nil
}

func (l *load) close() {
	_ = l.channel.Close()
	l.rest.CloseIdleConnections()
}

// run calls until ctx ends.
func (l *load) run(ctx context.Context) {
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for ctx.Err() == nil {
				l.call(ctx)
				pause(ctx, time.Duration(draw(int(2*between))))
			}
		})
	}
	running.Go(func() {
		for pause(ctx, burstEvery); ctx.Err() == nil; pause(ctx, burstEvery) {
			for range burst {
				running.Go(func() { l.call(ctx) })
			}
		}
	})
	running.Wait()
}

// call makes one call of a kind that is drawn.
func (l *load) call(ctx context.Context) {
	token, err := l.mint(ctx)
	if err != nil {
		return
	}
	req := &quashv1.RevokeRequest{Token: token}
	switch draw(10) {
	case 0:
		req.Token = "not.a.token" // SlashID rejects it
	case 1:
		req.Token = "" // quash does
	case 2, 3:
		req.Consistency = quashv1.Consistency_CONSISTENCY_ALL_REGIONS
		req.Timeout = durationpb.New(time.Second)
	case 4: // a caller with little patience
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, time.Duration(1+draw(400))*time.Millisecond)
		defer leave()
	case 5:
		req.Token, req.AllowInvalid = "not.a.token", true
	}
	switch draw(3) {
	case 0:
		_, _ = quashv1.NewTokenServiceClient(l.channel).Revoke(ctx, req)
	case 1:
		body, _ := protojson.Marshal(req) //nolint:forbidigo // it is sent, not printed
		l.post(ctx, "/v1/tokens:revoke", body)
	default:
		l.post(ctx, "/token/revoke", []byte(`{"token":"`+req.GetToken()+`"}`))
	}
}

func (l *load) post(ctx context.Context, path string, body []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.quash.REST+path, bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.rest.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

// draw returns a number from 0 to n-1.
func draw(n int) int { return rand.IntN(n) } //nolint:gosec // not a secret

// mint has the sandbox make a token.
func (l *load) mint(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.quash.Sandbox+"/_sandbox/tokens", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	token, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(token)), err
}
