package server

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// limitConnections limits a TCP listener to n open connections; more wait to be accepted. It
// logs that the limit is reached, and why it cannot accept a connection, such as too many open
// files: grpc-go only retries.
//
// Unlike netutil.LimitListener it keeps the method CloseWrite of TCP connections. net/http
// calls it after a response when the client has not sent the whole request. Without it the
// client would get a connection reset instead of the response.
func limitConnections(l net.Listener, n int, logger *slog.Logger) *limitedListener {
	return &limitedListener{
		Listener: l,
		logger:   logger,
		full:     rate.Sometimes{Interval: time.Minute},
		places:   make(chan struct{}, n),
		done:     make(chan struct{}),
	}
}

type limitedListener struct {
	net.Listener

	logger    *slog.Logger
	full      rate.Sometimes // limits a line of the log
	places    chan struct{}  // one element per open connection, and one for a waiting Accept
	open      atomic.Int64
	done      chan struct{}
	closeOnce sync.Once
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	default:
		l.full.Do(func() {
			l.logger.Warn("connection limit reached, new connections wait", "listener", l.Addr().String(), "limit", cap(l.places))
		})
		select {
		case l.places <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		if !errors.Is(err, net.ErrClosed) {
			l.logger.Warn("accept failed", "listener", l.Addr().String(), "err", err.Error())
		}
		return nil, err
	}
	tcp := conn.(*net.TCPConn) //nolint:forcetypeassert // a TCP listener accepts nothing else
	l.open.Add(1)
	return &limitedConn{tcp, sync.OnceFunc(func() {
		l.open.Add(-1)
		<-l.places
	})}, nil
}

func (l *limitedListener) Close() error {
	l.closeOnce.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	*net.TCPConn

	release func()
}

func (c *limitedConn) Close() error {
	err := c.TCPConn.Close()
	c.release()
	return err
}
