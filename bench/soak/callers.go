package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// caller makes one call after another, of kinds that are drawn.
type caller struct {
	*load

	channel *grpc.ClientConn
	shared  quashv1.TokenServiceClient // over channel
}

// kinds are what callers do, by how often.
var kinds = []struct {
	weight int
	do     func(c *caller, ctx context.Context)
}{
	{20, (*caller).plainGRPC},
	{8, (*caller).deadlineGRPC},
	{8, (*caller).cancelGRPC},
	{4, (*caller).repeatGRPC},
	{4, (*caller).freshChannel},
	{3, (*caller).closedChannel},
	{3, (*caller).watchHealth},
	{5, (*caller).refusedGRPC},
	{25, (*caller).plainREST},
	{8, (*caller).cancelREST},
	{6, (*caller).freshREST},
	{6, (*caller).refusedREST},
}

// one draws what to do, and does it.
func (c *caller) one(ctx context.Context) {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := draw(total)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			k.do(c, ctx)
			return
		}
	}
}

// newCall draws a sound call.
func (c *caller) newCall(kind string, d door) (*call, error) {
	made := &call{kind: kind, door: d, inHeaders: d == overDropIn || oneIn(4)}
	if oneIn(8) {
		made.origin = dead
	}
	made.allRegions = oneIn(3)
	if made.allRegions || oneIn(3) {
		made.timeout = time.Duration(1+draw(3)) * time.Second
	}
	made.allowInvalid = d != overDropIn && oneIn(2)
	var err error
	made.token, err = c.mint(made.origin)
	return made, err
}

// askAndJudge draws a sound call, changes it, makes it, and judges the answer.
func (c *caller) askAndJudge(ctx context.Context, kind string, d door, change func(*call), ask func(*call) answer) {
	made, err := c.newCall(kind, d)
	if err != nil {
		c.tally.happened("tokens that could not be minted", err.Error())
		return
	}
	if change != nil {
		change(made)
	}
	c.record(ctx, made, ask(made))
}

// record judges and counts an answer, unless it is the run itself that ended it.
func (c *caller) record(ctx context.Context, made *call, a answer) {
	if ctx.Err() != nil {
		return
	}
	complaint := c.judge.check(made, a)
	if complaint != "" {
		complaint = describe(made, a) + ": " + complaint
	}
	c.tally.answered(a, complaint)
}

func (c *caller) plainGRPC(ctx context.Context) {
	c.askAndJudge(ctx, "plain call", overGRPC, nil, func(made *call) answer { return askGRPC(ctx, c.shared, made) })
}

// deadlineGRPC has deadlines that quash can keep, and some that are too short.
func (c *caller) deadlineGRPC(ctx context.Context) {
	c.askAndJudge(ctx, "call with a deadline", overGRPC,
		func(made *call) { made.deadline = 5*time.Millisecond + within(500*time.Millisecond) },
		func(made *call) answer { return askGRPC(ctx, c.shared, made) })
}

func (c *caller) cancelGRPC(ctx context.Context) {
	leaving, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(within(300*time.Millisecond), cancel).Stop()
	c.askAndJudge(ctx, "cancelled call", overGRPC,
		func(made *call) { made.leaves = true },
		func(made *call) answer { return askGRPC(leaving, c.shared, made) })
}

// repeatGRPC asks again to revoke what is revoked, which SlashID rejects.
func (c *caller) repeatGRPC(ctx context.Context) {
	var first answer
	var revoked *call
	c.askAndJudge(ctx, "first of two calls", overGRPC,
		func(made *call) { revoked = made },
		func(made *call) answer { first = askGRPC(ctx, c.shared, made); return first })
	if revoked == nil || revoked.origin != fresh || first.outcome == "" {
		return
	}
	again := *revoked
	again.kind, again.origin = "second of two calls", spent
	c.record(ctx, &again, askGRPC(ctx, c.shared, &again))
}

// freshChannel makes a call over a channel of its own.
func (c *caller) freshChannel(ctx context.Context) {
	channel, err := c.open()
	if err != nil {
		c.tally.happened("gRPC channels that could not be made", err.Error())
		return
	}
	defer func() { _ = channel.Close() }()
	c.tally.happened("gRPC channels opened and closed", "")
	c.askAndJudge(ctx, "call over its own channel", overGRPC, nil,
		func(made *call) answer { return askGRPC(ctx, quashv1.NewTokenServiceClient(channel), made) })
}

// closedChannel takes the connection away while the call is under way.
func (c *caller) closedChannel(ctx context.Context) {
	channel, err := c.open()
	if err != nil {
		c.tally.happened("gRPC channels that could not be made", err.Error())
		return
	}
	defer func() { _ = channel.Close() }()
	defer time.AfterFunc(within(200*time.Millisecond), func() { _ = channel.Close() }).Stop()
	c.tally.happened("gRPC channels closed during a call", "")
	c.askAndJudge(ctx, "call whose channel is closed", overGRPC,
		func(made *call) { made.leaves = true },
		func(made *call) answer { return askGRPC(ctx, quashv1.NewTokenServiceClient(channel), made) })
}

// watchHealth opens a stream of health, and drops it.
func (c *caller) watchHealth(ctx context.Context) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	watching, cancelPatience := wait(watching)
	defer cancelPatience()
	stream, err := healthv1.NewHealthClient(c.channel).Watch(watching, &healthv1.HealthCheckRequest{
		Service: quashv1.TokenService_ServiceDesc.ServiceName,
	})
	var news *healthv1.HealthCheckResponse
	if err == nil {
		news, err = stream.Recv()
	}
	if ctx.Err() != nil {
		return
	}
	complaint := ""
	if err != nil || news.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		complaint = "health does not say SERVING"
	}
	c.tally.happened("health streams opened and dropped", complaint)
	pause(ctx, within(time.Second))
}

// tooLarge is more than quash reads of a request.
var tooLarge = strings.Repeat("x", 65<<10)

// refusals over gRPC are requests and metadata that break a rule each.
var refusalsGRPC = []struct {
	req *quashv1.RevokeRequest
	md  []string
}{
	{req: &quashv1.RevokeRequest{}},
	{req: &quashv1.RevokeRequest{Token: "no token!"}},
	{req: &quashv1.RevokeRequest{Token: strings.Repeat("x", 17<<10)}},
	{req: &quashv1.RevokeRequest{Token: "a.b.c", Consistency: 99}},
	{req: &quashv1.RevokeRequest{Token: "a.b.c", Timeout: durationpb.New(time.Hour)}},
	{req: &quashv1.RevokeRequest{Token: "a.b.c"}, md: []string{headerConsistency, "everywhere"}},
	{req: &quashv1.RevokeRequest{Token: "a.b.c"}, md: []string{headerTimeout, "soon"}},
	{
		req: &quashv1.RevokeRequest{Token: "a.b.c", Timeout: durationpb.New(time.Second)},
		md:  []string{headerTimeout, "2"},
	},
}

// refusedGRPC makes a request that gets no further than quash, or than gRPC itself.
func (c *caller) refusedGRPC(ctx context.Context) {
	switch draw(4) {
	case 0:
		_, err := c.shared.Revoke(ctx, &quashv1.RevokeRequest{Token: tooLarge})
		c.refusedByGRPC(ctx, err, codes.ResourceExhausted)
	case 1:
		err := c.channel.Invoke(ctx, "/quash.v1.TokenService/Nothing", &quashv1.RevokeRequest{}, &quashv1.RevokeResponse{})
		c.refusedByGRPC(ctx, err, codes.Unimplemented)
	default:
		bad := refusalsGRPC[draw(len(refusalsGRPC))]
		_, err := c.shared.Revoke(metadata.AppendToOutgoingContext(ctx, bad.md...), bad.req)
		c.recordRefusal(ctx, "request that breaks a rule", answerOf(overGRPC, status.Convert(err)), 0)
	}
}

func (c *caller) refusedByGRPC(ctx context.Context, err error, want codes.Code) {
	if ctx.Err() != nil {
		return
	}
	a := answerOf(overGRPC, status.Convert(err))
	complaint := ""
	if a.code != want.String() {
		complaint = "request that is none: " + a.label() + ", not " + want.String()
	}
	c.tally.answered(a, complaint)
}

func (c *caller) recordRefusal(ctx context.Context, kind string, a answer, httpStatus int) {
	if ctx.Err() != nil {
		return
	}
	complaint := checkRefusal(c.judge.table, a, httpStatus)
	if complaint != "" {
		complaint = describe(&call{kind: kind, door: a.door}, a) + ": " + complaint
	}
	c.tally.answered(a, complaint)
}

func drawREST() door { return overNative + door(draw(2)) }

func (c *caller) plainREST(ctx context.Context) {
	c.askAndJudge(ctx, "plain call", drawREST(), nil,
		func(made *call) answer { return askREST(ctx, c.rest, c.quash.rest, made) })
}

// cancelREST takes the connection away while the call is under way, which is how
// HTTP/1.1 cancels.
func (c *caller) cancelREST(ctx context.Context) {
	leaving, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(within(300*time.Millisecond), cancel).Stop()
	c.askAndJudge(ctx, "cancelled call", drawREST(),
		func(made *call) { made.leaves = true },
		func(made *call) answer { return askREST(leaving, c.rest, c.quash.rest, made) })
}

// freshREST makes a call over a connection of its own.
func (c *caller) freshREST(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	c.tally.happened("HTTP connections opened and closed", "")
	c.askAndJudge(ctx, "call over its own connection", drawREST(), nil,
		func(made *call) answer { return askREST(ctx, client, c.quash.rest, made) })
}

// refusalsREST are requests that break a rule each.
var refusalsREST = []struct {
	door   door
	req    httpRequest
	status int
}{
	{overNative, httpRequest{method: "POST", path: nativePath, body: []byte(`{"token":`)}, 400},
	{overNative, httpRequest{method: "POST", path: nativePath, body: []byte(`[]`)}, 400},
	{overNative, httpRequest{method: "POST", path: nativePath, body: []byte(`{"tokens":["a.b.c"]}`)}, 400},
	{overNative, httpRequest{method: "POST", path: nativePath, body: []byte(`{"token":"` + tooLarge + `"}`)}, 413},
	{overNative, httpRequest{method: "POST", path: nativePath, body: []byte(`a`), header: map[string]string{"Content-Type": "text/plain"}}, 415},
	{overNative, httpRequest{method: "POST", path: nativePath, body: []byte(`{"token":"a.b.c"}`), header: map[string]string{headerConsistency: "caf\u00e9"}}, 400},
	{overNative, httpRequest{method: "GET", path: nativePath}, 405},
	{overNative, httpRequest{method: "POST", path: "/elsewhere", body: []byte(`{}`)}, 404},
	{overDropIn, httpRequest{method: "POST", path: dropInPath, body: []byte(`{"token":`)}, 400},
	{overDropIn, httpRequest{method: "POST", path: dropInPath, body: []byte(`{"token":7}`)}, 400},
	{overDropIn, httpRequest{method: "POST", path: dropInPath, body: []byte(`{"token":"` + tooLarge + `"}`)}, 400},
	{overDropIn, httpRequest{method: "POST", path: dropInPath, body: []byte(`{"token":"a.b.c"}`), header: map[string]string{headerTimeout: "0"}}, 400},
	{overDropIn, httpRequest{method: "DELETE", path: dropInPath}, 405},
}

// refusedREST makes a request that gets no further than quash.
func (c *caller) refusedREST(ctx context.Context) {
	bad := refusalsREST[draw(len(refusalsREST))]
	a := bad.req.do(ctx, c.rest, c.quash.rest, bad.door, false)
	c.recordRefusal(ctx, "request that breaks a rule", a, bad.status)
}
