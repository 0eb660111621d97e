package compare

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/bench/measure"
)

// scenario is a faulty upstream.
type scenario struct {
	name   string
	rate   int           // calls per second
	lasts  time.Duration // duration of the calls
	target time.Duration // maximum time until all calls succeed again
	answer answer        // nil for stock nginx behind a delay
}

const (
	maxOutage = 30 * time.Second
	// recoveryDeadline is the deadline of each call.
	recoveryDeadline = 10 * time.Second
	oneWay           = 20 * time.Millisecond
)

var scenarios = []scenario{
	{"stock nginx, 40 ms round trip", 500, 20 * time.Second, 0, nil},
	{"first connection stops answering after 20 requests", 5, 40 * time.Second, maxOutage, stopsAnswering},
	{"first connection answers only 503", 5, 40 * time.Second, maxOutage, answers503},
}

func stopsAnswering(w http.ResponseWriter, r *http.Request, request, connection int64) {
	if connection == 1 && request > 20 {
		<-r.Context().Done()
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func answers503(w http.ResponseWriter, _ *http.Request, _, connection int64) {
	if connection == 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// start starts the upstream of a scenario.
func (s scenario) start(ctx context.Context, e *env) (url string, stop func(), err error) {
	if s.answer != nil {
		u, err := e.startUpstream(http2, s.answer)
		if err != nil {
			return "", nil, err
		}
		return u.url, u.stop, nil
	}
	front, err := startStockNginx(ctx, e, e.upstreams[http1].addr)
	if err != nil {
		return "", nil, err
	}
	listener, err := listen()
	if err != nil {
		front.stop()
		return "", nil, err
	}
	go delay(ctx, listener, front.HTTP)
	return "https://" + listener.Addr().String(), func() { _ = listener.Close(); front.stop() }, nil
}

// delay forwards connections, with a delay of oneWay in each direction.
func delay(ctx context.Context, listener net.Listener, to string) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return // the listener is closed
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", to)
		if err != nil {
			_ = from.Close()
			continue
		}
		go func() {
			var directions sync.WaitGroup
			directions.Go(func() { copyLater(conn, from) })
			directions.Go(func() { copyLater(from, conn) })
			directions.Wait()
			_ = conn.Close()
			_ = from.Close()
		}()
	}
}

func copyLater(to, from net.Conn) {
	type chunk struct {
		at   time.Time
		data []byte
	}
	queue := make(chan chunk, 4096)
	go func() {
		defer close(queue)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			queue <- chunk{time.Now().Add(oneWay), buffer[:n]}
			if err != nil {
				return
			}
		}
	}()
	for c := range queue {
		time.Sleep(time.Until(c.at))
		_, _ = to.Write(c.data) // after an error, reading fails too
	}
	// Close only this direction: nginx closes its side while requests are still in transit.
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// never is the outage if calls still fail at the end.
const never = time.Duration(math.MaxInt64)

// outage returns the time from the start of the first failed call until all calls succeed again.
func outage(results []calls.Result) time.Duration {
	first, after := -1, 0
	for i, r := range results {
		if r.Err == nil {
			continue
		}
		if first < 0 {
			first = i
		}
		after = i + 1
	}
	switch {
	case first < 0:
		return 0
	case after == len(results):
		return never
	}
	return results[after].Due - results[first].Due
}

// measureRecovery measures each scenario once.
func measureRecovery(ctx context.Context, e *env) (string, error) {
	t := measure.NewTable("upstream", "contender", "calls", "failed", "until all succeed again, s", "")
	for _, s := range scenarios {
		if s.answer == nil && e.nginx == "" {
			continue
		}
		take := []*contender{quash, textbook}
		all := make([][]calls.Result, len(take))
		running, ctx := errgroup.WithContext(ctx) // at once, because both wait most of the time
		for i, c := range take {
			running.Go(func() (err error) {
				if all[i], err = e.runScenario(ctx, s, c); err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, c.name, err)
				}
				return nil
			})
		}
		if err := running.Wait(); err != nil {
			return "", err
		}
		for i, results := range all {
			failed, first := calls.Failures(results)
			lasted, until, verdict := outage(results), "never", ""
			progressf("%s, %s: %d failed (%v), outage %s", s.name, take[i].name, failed, first, lasted)
			if lasted != never {
				until = seconds(lasted)
			}
			if take[i] == quash {
				verdict = measure.Verdict(lasted, s.target)
			}
			t.Add(s.name, take[i].name, strconv.Itoa(len(results)), strconv.Itoa(failed), until, verdict)
		}
	}
	return fmt.Sprintf("### Recovery\ngRPC calls with a deadline of %s s, %d or %d per second, to an upstream with HTTP/2 and TLS that accepts %d\n"+
		"requests per connection. Both contenders run at once, each with an upstream of its own. Stock nginx closes each\n"+
		"connection after 1,000 requests.\n\n%s\n"+
		"Targets: behind nginx, no failures; otherwise, all calls succeed again within %s s.\n",
		seconds(recoveryDeadline), scenarios[0].rate, scenarios[1].rate, goStreams, t, seconds(maxOutage)), nil
}

func (e *env) runScenario(ctx context.Context, s scenario, c *contender) ([]calls.Result, error) {
	url, stop, err := s.start(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	server, err := e.open(ctx, c, calls.GRPC, channels, url)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	return e.openLoop(ctx, server.client, int(s.lasts.Seconds())*s.rate/e.pace.fraction, s.rate, recoveryDeadline), ctx.Err()
}
