package server_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "the seed of TestModel; 0 draws one")
	modelCalls = flag.Int("model.calls", 3000, "how many calls TestModel makes")
)

const (
	modelCallers = 96
	modelGrace   = 500 * time.Millisecond
	// modelSlack is far more than a busy machine adds to a call. A call that is later than
	// this has no limit at all.
	modelSlack = 30 * time.Second
)

// modelFaults are the faults that an attempt can meet. None of them lies: a response that says
// revoked does revoke, and one that says rejected does not. The other faults occur both with
// and without a revocation.
var modelFaults = map[string]sandbox.Fault{
	"400 without envelope":     {Status: 400, Body: "<html>"},
	"401":                      {Status: 401},
	"403":                      {Status: 403},
	"408 applied":              {Status: 408, Apply: true, Body: envelope408},
	"408 proxy":                {Status: 408, Body: "<html>"},
	"408 proxy, applied":       {Status: 408, Apply: true},
	"429":                      {Status: 429},
	"429 with Retry-After":     {Status: 429, Headers: map[string]string{"Retry-After": "1"}},
	"500":                      {Status: 500},
	"500 applied":              {Status: 500, Apply: true},
	"503":                      {Status: 503, Headers: map[string]string{"Retry-After": "0"}},
	"503 applied":              {Status: 503, Apply: true},
	"503 with far Retry-After": {Status: 503, Headers: map[string]string{"Retry-After": "3600"}},
	"204 applied":              {Status: 204, Apply: true},
	"200":                      {Status: 200, Body: "<html>"},
	"302 applied":              {Status: 302, Apply: true, Headers: map[string]string{"Location": "http://elsewhere.invalid/"}},
	"reset":                    {Reset: true},
	"reset applied":            {Reset: true, Apply: true},
	"slow":                     {Delay: 300 * time.Millisecond},
	"stalled, then applied":    {Delay: 3 * time.Second},
	"slow reset applied":       {Delay: 200 * time.Millisecond, Reset: true, Apply: true},
}

// modelCall is one call and its result.
type modelCall struct {
	token    string
	valid    bool // the sandbox's own, and not expired
	allow    bool
	deadline time.Duration // 0: none
	outcome  string        // of a success
	reason   string        // of a failure
	state    string        // of a failure
	took     time.Duration
	note     string
}

// TestModel makes thousands of calls while SlashID fails in every way, and then checks with the
// sandbox that every result which callers received is true.
func TestModel(t *testing.T) {
	t.Parallel()
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d; again with -model.seed=%d", seed, seed)

	s := sandbox.Start(t, sandbox.Config{ReplicationLag: 50 * time.Millisecond})
	if err := s.SetRegion("ap-south", sandbox.RegionSettings{Lag: 1500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	foreign := sandbox.Start(t, sandbox.Config{})
	f := startFacade(t, slowToConnect{newUpstream(t, s.URL)}, func(svc *service.Config, cfg *server.Config) {
		svc.AnswerGrace = modelGrace
		svc.DeadlineMargin = 100 * time.Millisecond
		svc.BreakerRest = 50 * time.Millisecond
		cfg.Logger = slog.New(slog.DiscardHandler)
	})

	m := &model{t: t, seed: seed, facade: f, sandbox: s, foreign: foreign}
	m.run(*modelCalls, slices.Sorted(maps.Keys(modelFaults)), false)
	certain := len(m.calls)
	// If every fault is a rejection, no state may be UNKNOWN.
	s.ClearFaults()
	m.run(*modelCalls/10, []string{"401", "403", "429", "429 with Retry-After"}, true)

	// Wait for revocations in the background, then let the regions catch up.
	if err := f.Shutdown(); err != nil {
		t.Error(err)
	}
	s.ClearFaults()
	for _, region := range s.Regions() {
		if err := s.SetRegion(region.Name, sandbox.RegionSettings{}); err != nil {
			t.Fatal(err)
		}
	}
	violations := 0
	answers := map[string]int{}
	for i, c := range m.calls {
		answers[strings.TrimSpace(c.outcome+c.reason+" "+c.state)]++
		wrong := c.judge(s)
		// A busy machine is a fault too: it can delay an answer past the time it is due.
		if i >= certain && c.state == "UNKNOWN" && c.reason != "UPSTREAM_TIMEOUT" {
			wrong = "UNKNOWN, although every fault was a rejection"
		}
		if wrong != "" {
			violations++
			t.Errorf("%s: %s", c, wrong)
		}
	}
	t.Logf("%d calls, %d violations; answers: %v", len(m.calls), violations, answers)
	for _, want := range []string{
		"OUTCOME_REVOKED", "OUTCOME_ALREADY_INVALID", "TOKEN_REJECTED NOT_APPLIED",
		"UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED", "CONSISTENCY_TIMEOUT IN_PROGRESS", "UPSTREAM_TIMEOUT NOT_APPLIED",
	} {
		if answers[want] == 0 && *modelCalls >= 1000 {
			t.Errorf("no call got %s: the model does not reach it", want)
		}
	}
}

// model is a run of callers.
type model struct {
	t       *testing.T
	seed    uint64
	facade  *facade
	sandbox *sandbox.Server
	foreign *sandbox.Server

	mu    sync.Mutex
	calls []*modelCall
}

// run makes n calls, nearly half of them with one of the named faults. Patient callers have no
// deadlines, do not disconnect, and request nothing that takes time.
func (m *model) run(n int, faults []string, patient bool) {
	next := make(chan struct{})
	var callers sync.WaitGroup
	for worker := range modelCallers {
		random := rand.New(rand.NewPCG(m.seed, uint64(worker)))
		callers.Go(func() {
			for range next {
				if random.IntN(100) < 45 {
					if err := m.sandbox.Script(modelFaults[faults[random.IntN(len(faults))]]); err != nil {
						m.t.Error(err)
					}
				}
				for m.call(random, patient).reason == "UPSTREAM_CIRCUIT_OPEN" {
					// Use another token after a delay, so that such calls do not dominate.
					<-time.After(time.Duration(random.IntN(100)) * time.Millisecond)
				}
			}
		})
	}
	for range n {
		next <- struct{}{}
	}
	close(next)
	callers.Wait()
}

func (m *model) call(random *rand.Rand, patient bool) *modelCall {
	c := &modelCall{}
	c.make(m.t, random, m.facade, m.sandbox, m.foreign, patient)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, c)
	return c
}

// slowToConnect is an upstream whose connections sometimes take up to 300 ms, even if the call
// was cancelled in the meantime.
type slowToConnect struct{ service.Upstream }

func (u slowToConnect) Revoke(ctx context.Context, req slashid.Request) slashid.Result {
	if rand.IntN(5) == 0 {
		<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
		return u.Upstream.Revoke(context.WithoutCancel(ctx), req)
	}
	return u.Upstream.Revoke(ctx, req)
}

// make makes one random call.
func (c *modelCall) make(t *testing.T, random *rand.Rand, f *facade, s, foreign *sandbox.Server, patient bool) {
	options := sandbox.MintOptions{Container: random.IntN(5) == 0}
	source := s
	switch c.valid = true; random.IntN(20) {
	case 0:
		options.Lifetime, c.valid = -time.Hour, false
	case 1:
		source, c.valid = foreign, false
	}
	var err error
	if c.token, err = source.Mint(options); err != nil {
		t.Error(err)
		return
	}
	c.allow = random.IntN(2) == 0
	level := quashv1.Consistency_CONSISTENCY_LOCAL_REGION
	if !patient && random.IntN(4) == 0 {
		level = quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	ctx := t.Context()
	behavior := random.IntN(6)
	if patient {
		behavior = -1
	}
	switch behavior {
	case 0: // a deadline that may pass
		c.deadline = time.Duration(110+random.IntN(2000)) * time.Millisecond
	case 1: // a caller that cancels; its gRPC library returns the error
		c.note = "cancelled"
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer time.AfterFunc(time.Duration(random.IntN(400))*time.Millisecond, cancel).Stop()
		defer cancel()
	}
	begun := time.Now()
	defer func() { c.took = time.Since(begun) }()
	if c.deadline == 0 && c.note == "" && random.IntN(3) == 0 {
		c.allow = false
		c.overDropIn(t, f, level)
		return
	}
	if c.deadline != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.deadline)
		defer cancel()
	}
	resp, err := f.grpc.Revoke(ctx, &quashv1.RevokeRequest{
		Token: c.token, Consistency: level, Timeout: durationpb.New(time.Second), AllowInvalid: c.allow,
	})
	if err == nil {
		c.outcome = resp.GetOutcome().String()
		return
	}
	c.reason, c.state = reasonAndState(err)
	if c.state == "" && (status.Code(err) == codes.Canceled || status.Code(err) == codes.DeadlineExceeded) {
		c.reason = "(the client's own)"
	}
}

func (c *modelCall) overDropIn(t *testing.T, f *facade, level quashv1.Consistency) {
	header := http.Header{"SlashID-Required-Consistency-Timeout": {"1"}}
	if level == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
		header.Set("SlashID-Required-Consistency", "all_regions")
	}
	resp, _ := f.post(t, dropInPath, header, toJSON(t, map[string]string{"token": c.token}))
	if resp.StatusCode == http.StatusNoContent {
		c.outcome = "OUTCOME_REVOKED"
		return
	}
	c.reason, c.state = resp.Header.Get("Quash-Error-Reason"), resp.Header.Get("Quash-Revocation-State")
}

// judge returns what is wrong with the result that the caller received, or "".
func (c *modelCall) judge(s *sandbox.Server) string {
	limit := c.deadline
	if limit == 0 {
		limit = time.Second + modelGrace
	}
	if c.took > limit+modelSlack {
		return fmt.Sprintf("took %s, with a limit of %s", c.took, limit)
	}
	if !c.valid {
		return "" // nothing to check
	}
	regions, err := s.Revoked(c.token)
	if err != nil {
		return err.Error()
	}
	dead := !slices.Contains(slices.Collect(maps.Values(regions)), false)
	alive := !slices.Contains(slices.Collect(maps.Values(regions)), true)
	switch {
	case c.outcome != "" && !dead:
		return "OK, but the token is alive"
	case c.state == "NOT_APPLIED" && !alive:
		return "NOT_APPLIED, but the token was revoked"
	case c.state == "IN_PROGRESS" && !dead:
		return "IN_PROGRESS, but the token is still alive in the end"
	case c.outcome == "" && c.state == "" && c.reason != "(the client's own)":
		return "an answer that says nothing of the token"
	}
	return ""
}

func (c *modelCall) String() string {
	return fmt.Sprintf("valid %t, allow_invalid %t, deadline %s %s: %s%s %s",
		c.valid, c.allow, c.deadline, c.note, c.outcome, c.reason, c.state)
}
