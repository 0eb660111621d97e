package server

import (
	"net"
	"sync"
	"sync/atomic"
)

// limitConnections lets n connections of a TCP listener be open at once; more wait
// to be accepted.
//
// It does what netutil.LimitListener does, but that the connections are still TCP's:
// net/http ends an answer by closing its own side alone where the client has not
// sent all, and without that the client sees a reset and no answer.
func limitConnections(l net.Listener, n int) *limitedListener {
	return &limitedListener{Listener: l, places: make(chan struct{}, n), done: make(chan struct{})}
}

type limitedListener struct {
	net.Listener

	places    chan struct{} // has one for each, and for the one that is waited for
	open      atomic.Int64
	done      chan struct{}
	closeOnce sync.Once
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	tcp := conn.(*net.TCPConn) //nolint:forcetypeassert // so it says above
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
