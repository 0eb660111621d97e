package compare

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

// scenario is an upstream that misbehaves.
type scenario struct {
	name string
	rate int // calls a second
	// lasts is how long calls are made.
	lasts time.Duration
	start func(ctx context.Context, e *env) (url string, stop func(), err error)
	// mostOutage is the target: how soon all calls succeed again; 0 is that none fails.
	mostOutage time.Duration
}

func (s scenario) verdict(failed int, outage time.Duration, ended bool) string {
	if s.mostOutage == 0 {
		return measure.Verdict(failed, 0)
	}
	if !ended {
		return measure.Verdict(s.lasts, 0)
	}
	return measure.Verdict(outage, s.mostOutage)
}

const (
	mostOutage = 30 * time.Second
	// recoveryDeadline is that of each call.
	recoveryDeadline = 10 * time.Second
	oneWay           = 20 * time.Millisecond
)

var scenarios = []scenario{
	{
		name: "stock nginx, 40 ms round trip", rate: 500, lasts: 20 * time.Second,
		start: startDistantNginx,
	},
	{
		name: "first connection stops answering after 20 requests", rate: 5, lasts: 40 * time.Second, mostOutage: mostOutage,
		start: func(_ context.Context, e *env) (string, func(), error) {
			var requests atomic.Int64
			return startFirst(e, func(n int64, w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) <= 20 {
					revoked(n, w, r)
					return
				}
				<-r.Context().Done()
			})
		},
	},
	{
		name: "first connection answers only 503", rate: 5, lasts: 40 * time.Second, mostOutage: mostOutage,
		start: func(_ context.Context, e *env) (string, func(), error) {
			return startFirst(e, func(_ int64, w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
			})
		},
	},
}

// startFirst starts an upstream whose first connection behaves differently.
func startFirst(e *env, first answer) (url string, stop func(), err error) {
	u, err := e.startUpstream(http2, func(n int64, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			first(n, w, r)
			return
		}
		revoked(n, w, r)
	})
	if err != nil {
		return "", nil, err
	}
	return u.url, u.stop, nil
}

// startDistantNginx starts nginx in front of an upstream, and what makes it distant.
func startDistantNginx(ctx context.Context, e *env) (url string, stop func(), err error) {
	u, err := e.startUpstream(http1, revoked)
	if err != nil {
		return "", nil, err
	}
	front, err := startStockNginx(ctx, e, u.addr)
	if err != nil {
		u.stop()
		return "", nil, err
	}
	listener, err := listen()
	if err != nil {
		front.stop()
		u.stop()
		return "", nil, err
	}
	go delay(ctx, listener, front.HTTP)
	return "https://" + listener.Addr().String(), func() { _ = listener.Close(); front.stop(); u.stop() }, nil
}

// delay passes connections on, and everything that they carry later, in both directions.
func delay(ctx context.Context, listener net.Listener, to string) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return // it is closed
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
		_, _ = to.Write(c.data) // after an error the reader ends, too
	}
	// No more than that: nginx ends its side while requests are still on their way.
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// measureRecovery measures each scenario once.
func measureRecovery(ctx context.Context, e *env) (string, error) {
	t := measure.NewTable("upstream", "contender", "calls", "failed", "until all succeed again, s", "")
	for _, s := range scenarios {
		if s.mostOutage == 0 && e.nginx == "" {
			continue
		}
		for _, con := range []contender{quash, textbook} {
			results, err := e.runScenario(ctx, s, con)
			if err != nil {
				return "", fmt.Errorf("%s, %s: %w", s.name, con.name, err)
			}
			failed, first := failures(results)
			lasted, ended := outage(results)
			progressf("%s, %s: %d failed (%v), outage %s, ended %t", s.name, con.name, failed, first, lasted, ended)
			until := seconds(lasted)
			if !ended {
				until = "never"
			}
			verdict := ""
			if con.name == quash.name {
				verdict = s.verdict(failed, lasted, ended)
			}
			t.Add(s.name, con.name, strconv.Itoa(len(results)), strconv.Itoa(failed), until, verdict)
		}
	}
	return fmt.Sprintf("### Recovery\nCalls over gRPC with a deadline of %s s, %d or %d a second, to an upstream with HTTP/2 and TLS that takes %d\n"+
		"requests on a connection. Stock nginx closes each connection after 1,000 requests.\n\n%s\n"+
		"Targets: behind nginx no failures; otherwise all calls succeed again within %s s.\n",
		seconds(recoveryDeadline), scenarios[0].rate, scenarios[1].rate, goStreams, t, seconds(mostOutage)), nil
}

func (e *env) runScenario(ctx context.Context, s scenario, con contender) ([]result, error) {
	url, stop, err := s.start(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	server, err := con.run(ctx, e, url)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	client, err := overGRPC.dial(server.Addrs, channels)
	if err != nil {
		return nil, err
	}
	defer client.close()
	calls := int(s.lasts.Seconds()) * s.rate / e.pace.fraction
	results := openLoop(ctx, client, e.tokens, calls, s.rate, recoveryDeadline)
	return results, ctx.Err()
}
