package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/internal/quashdev"
)

// faultsEvery is how often the sandbox is told to do wrong, and scripts what it does
// then, one after the other: each is long enough for the next calls.
const faultsEvery = 2 * time.Second

var scripts = []string{
	`[{"status":503,"count":6},{"status":429,"headers":{"Retry-After":"1"},"count":4},{"status":302,"count":2}]`,
	`[{"reset":true,"count":4},{"delay":"2s","count":8}]`,
	`[{"status":401,"count":2},{"status":408,"body":"<html>","count":2},{"status":500,"apply":true,"count":4}]`,
	`[{"delay":"3s","count":30}]`, // for the next burst to be too many
	`[{"status":503,"count":60}]`, // for the breaker
}

// goWrong lets the sandbox do wrong until ctx ends, and the certificate be replaced,
// and then spoilt, within duration.
func goWrong(ctx context.Context, q *quashdev.Process, a *authority, duration time.Duration) {
	tell(ctx, http.MethodPut, q.Sandbox+"/_sandbox/regions/ap-south", `{"lag":"1500ms"}`)
	begun := time.Now()
	replaced, spoilt := false, false
	for i := 0; ctx.Err() == nil; i++ {
		tell(ctx, http.MethodPost, q.Sandbox+"/_sandbox/faults", scripts[i%len(scripts)])
		if !replaced && time.Since(begun) > duration/3 {
			replaced = a.replace() == nil
		}
		if !spoilt && time.Since(begun) > duration*2/3 {
			spoilt = a.spoil() == nil
		}
		pause(ctx, faultsEvery)
	}
}

// tell has the sandbox do something.
func tell(ctx context.Context, method, url, body string) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}
