package compare

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/bench/measure"
	"github.com/quashdev/quash/bench/testbed"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// guarantee is something that happens to a call. Afterwards the answer should say whether the
// token is dead.
type guarantee struct {
	name    string
	revoked bool // with another call before
	regions map[string]sandbox.RegionSettings
	faults  []sandbox.Fault
	during  func(s *server, cancel context.CancelFunc) // while SlashID works on the call
	left    bool                                       // the caller gets no answer, so the log must say it
}

const lag = time.Second

var (
	slow = map[string]sandbox.RegionSettings{"us-east": {Lag: lag}} // the local region

	guarantees = []guarantee{
		{name: "408 in SlashID's envelope", regions: map[string]sandbox.RegionSettings{"eu-west": {Partitioned: true}}},
		{name: "400 for a dead token", revoked: true},
		{name: "503 once", faults: []sandbox.Fault{{Status: http.StatusServiceUnavailable}}},
		{name: "503 always", faults: []sandbox.Fault{{Status: http.StatusServiceUnavailable, Count: 1000}}},
		{name: "applied, connection lost; then 400", faults: []sandbox.Fault{{Apply: true, Reset: true}}},
		{name: "caller disconnects while SlashID works", regions: slow, left: true, during: func(_ *server, cancel context.CancelFunc) { cancel() }},
		{name: "SIGTERM during a call of 1 s", regions: slow, during: func(s *server, _ context.CancelFunc) { _ = s.Signal(syscall.SIGTERM) }},
	}
)

// result is the result of a call, as the caller gets it or as the log has it.
type result struct{ code, outcome, reason, state string }

func (r result) String() string {
	parts := slices.DeleteFunc([]string{r.code, r.outcome, r.reason, r.state}, func(s string) bool { return s == "" })
	return cmp.Or(strings.Join(parts, ", "), "nothing")
}

// verdict checks what a result says of the token. gRPC defines InvalidArgument as an error of the
// request, so it says that nothing was done. Other codes leave it open, unless there is a state.
func (r result) verdict(before, after bool) string {
	var isTrue bool
	switch {
	case r.code == codes.OK.String(), r.state == "IN_PROGRESS":
		isTrue = after
	case r.state == "NOT_APPLIED", r.state == "" && r.code == codes.InvalidArgument.String():
		isTrue = before == after
	default:
		return "does not say"
	}
	if isTrue {
		return "yes"
	}
	return "**no**"
}

// logged returns the last result in the log of a contender.
func logged(log string) (last result) {
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue // not JSON
		}
		text := func(name string) string {
			s, _ := fields[name].(string)
			return s
		}
		r := result{cmp.Or(text("grpc.code"), text("code")), strings.ToUpper(text("outcome")), text("reason"), text("state")}
		if r.outcome != "" {
			r.code = codes.OK.String()
		}
		if r.code != "" {
			last = r
		}
	}
	return last
}

// measureGuarantees checks every answer against the sandbox's ledger.
func measureGuarantees(ctx context.Context, e *env) (string, error) {
	take := []*contender{textbook, usual, quash}
	rows := make([][]string, len(guarantees)*len(take))
	all, ctx := errgroup.WithContext(ctx)
	for i, g := range guarantees {
		for j, c := range take {
			all.Go(func() (err error) {
				if rows[i*len(take)+j], err = e.guarantee(ctx, g, c); err != nil {
					return fmt.Errorf("%s, %s: %w", g.name, c.name, err)
				}
				return nil
			})
		}
	}
	if err := all.Wait(); err != nil {
		return "", err
	}
	t := measure.NewTable("what happens", "contender", "the caller gets", "after, s", "the log says", "dead in regions", "true?")
	for _, cells := range rows {
		t.Add(cells...)
	}
	return fmt.Sprintf("### Guarantees\nWhat a gRPC caller gets in each case, and the last result in the contender's log, checked against the upstream's\n"+
		"ledger, which has the regions where the token is dead afterwards. OK and IN_PROGRESS say that it is dead; NOT_APPLIED, and\n"+
		"InvalidArgument without a state, say that the call changed nothing; everything else does not say. If the caller\n"+
		"disconnects, what counts is the log.\n\n%s", t), nil
}

// guarantee runs one case and returns its row.
func (e *env) guarantee(ctx context.Context, g guarantee, c *contender) ([]string, error) {
	box, err := sandbox.New(sandbox.Config{APIKey: apiKey})
	if err != nil {
		return nil, err
	}
	defer box.Close()
	for name, settings := range g.regions {
		if err := box.SetRegion(name, settings); err != nil {
			return nil, err
		}
	}
	token, err := box.Mint(sandbox.MintOptions{})
	if err != nil {
		return nil, err
	}
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	arrived := make(chan struct{}, 1000)                                                                                // a request each
	defer testbed.Serve(listener, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // Serve sets the timeout
		arrived <- struct{}{}
		box.ServeHTTP(w, r)
	})}, nil)()
	s, err := c.run(ctx, e, "http://"+listener.Addr().String())
	if err != nil {
		return nil, err
	}
	defer s.stop()
	channel, err := grpc.NewClient("passthrough:///"+s.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	defer func() { _ = channel.Close() }()

	if g.revoked {
		revoke(ctx, channel, token)
	}
	before, err := deadIn(box, token)
	if err != nil {
		return nil, err
	}
	if err := box.Script(g.faults...); err != nil {
		return nil, err
	}
	called, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if g.during != nil {
		go func() {
			<-arrived
			time.Sleep(lag / 4)
			g.during(s, cancel)
		}()
	}
	begun := time.Now()
	answer := revoke(called, channel, token)
	took := time.Since(begun)
	time.Sleep(2 * lag) // until SlashID has done what it accepted
	after, err := deadIn(box, token)
	if err != nil {
		return nil, err
	}
	log := logged(s.Stderr.String())
	verdict := answer.verdict(before > 0, after > 0)
	if g.left {
		verdict = log.verdict(before > 0, after > 0)
	}
	ledger := fmt.Sprintf("%d of %d", after, len(box.Regions()))
	return []string{g.name, c.name, answer.String(), seconds(took), log.String(), ledger, verdict}, nil
}

// revoke calls a contender.
func revoke(ctx context.Context, channel *grpc.ClientConn, token string) result {
	resp, err := quashv1.NewTokenServiceClient(channel).Revoke(ctx, &quashv1.RevokeRequest{
		Token: token, Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS, Timeout: durationpb.New(2 * lag),
	})
	code, reason, state := calls.Status(err)
	r := result{code: code.String(), reason: reason, state: state}
	if err == nil {
		r.outcome = strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")
	}
	return r
}

// deadIn returns the number of regions in which a token is dead.
func deadIn(box *sandbox.Sandbox, token string) (n int, err error) {
	regions, err := box.Revoked(token)
	for _, revoked := range regions {
		if revoked {
			n++
		}
	}
	return n, err
}
