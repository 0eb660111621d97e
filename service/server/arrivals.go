package server

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// arrivals bounds the requests that have begun to arrive and are not there yet, in
// number and in time. Each of them holds memory, and needs nobody's permission.
//
// Beyond the number the one that has been longest is given up, and not the newest:
// an honest request is there within milliseconds of its header, so that one who
// fills the places with requests that never come keeps nobody out. Who begins them
// faster than that would push honest ones out all the same; so only a connection
// that has its share of the places loses one.
type arrivals struct {
	limit    int
	patience time.Duration
	givenUp  atomic.Int64

	mu      sync.Mutex
	pending list.List // of *arrival, the longest first
	// timer is set for the first of them, or for one that was before it; nil before there
	// was any.
	timer *time.Timer
	timed bool // whether it is set
	// connections are those that have any of them, and how many.
	connections map[any]int
}

// arrival is a request on its way in.
type arrival struct {
	all        *arrivals
	connection any
	place      *list.Element // nil once it is over
	giveUp     func()
	due        time.Time   // when it has had time enough
	crowdedOut atomic.Bool // whether it was given up for another one

	// These are gRPC's: whether it is a call of Revoke, whether its message has come, and
	// what has it no longer over with its stream, which takes a goroutine.
	revokes bool
	arrived atomic.Bool
	forget  func() bool
}

func newArrivals(limits Limits) *arrivals {
	return &arrivals{limit: limits.Arriving, patience: limits.TransferTimeout, connections: map[any]int{}}
}

// begin counts a request in that arrives on a connection, which is told from others
// by ==. giveUp ends it; it is called at most once, never after over, and must not
// block.
func (a *arrivals) begin(connection any, giveUp func()) *arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending.Len() >= a.limit {
		r := a.longest()
		r.crowdedOut.Store(true)
		r.end()
	}
	r := &arrival{all: a, connection: connection, giveUp: giveUp, due: time.Now().Add(a.patience)}
	r.place = a.pending.PushBack(r)
	a.connections[connection]++
	a.setTimer()
	return r
}

// setTimer sets the timer, unless it is: to do so for each request would cost more than
// all the rest. The caller holds the lock.
func (a *arrivals) setTimer() {
	first := a.first()
	if a.timed || first == nil {
		return
	}
	a.timed = true
	left := time.Until(first.due)
	if a.timer == nil {
		a.timer = time.AfterFunc(left, a.expire)
		return
	}
	a.timer.Reset(left)
}

// expire ends those that have had time enough: the first, for all have the same.
func (a *arrivals) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for r := a.first(); r != nil && !now.Before(r.due); r = a.first() {
		r.end()
	}
	a.timed = false
	a.setTimer()
}

// first is the longest on its way, nil where none is. The caller holds the lock.
func (a *arrivals) first() *arrival {
	if a.pending.Len() == 0 {
		return nil
	}
	return a.pending.Front().Value.(*arrival) //nolint:forcetypeassert // nothing else is in it
}

// longest is the one to give up: there is one, since not every connection can have
// less than the average. The caller holds the lock.
func (a *arrivals) longest() *arrival {
	for place := a.pending.Front(); ; place = place.Next() {
		r := place.Value.(*arrival) //nolint:forcetypeassert // nothing else is in it
		if a.connections[r.connection]*len(a.connections) >= a.pending.Len() {
			return r
		}
	}
}

// over says that the request is there, or gone.
func (r *arrival) over() {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.leave()
}

// end gives the request up. The caller holds the lock.
func (r *arrival) end() {
	if r.leave() {
		r.all.givenUp.Add(1)
		r.giveUp()
	}
}

// leave reports whether the request was still on its way. The caller holds the
// lock.
func (r *arrival) leave() bool {
	if r.place == nil {
		return false
	}
	r.all.pending.Remove(r.place)
	r.place = nil
	r.all.connections[r.connection]--
	if r.all.connections[r.connection] == 0 {
		delete(r.all.connections, r.connection)
	}
	return true
}

type arrivalKey struct{}

// tap begins the arrival of a gRPC request, at its header. grpc-go itself would
// wait for the message as long as the client likes.
func (a *arrivals) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	connection, _ := peer.FromContext(ctx) // each has a peer of its own, whatever the address
	ctx, cancel := context.WithCancel(ctx)
	r := a.begin(connection, cancel)
	r.revokes = info.FullMethodName == quashv1.TokenService_Revoke_FullMethodName
	r.forget = context.AfterFunc(ctx, r.over)
	return context.WithValue(ctx, arrivalKey{}, r), nil
}

// arrived ends the arrival that tap began: interceptors are called once there is a
// message.
func arrived(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	arrivalOver(ctx)
	return handler(ctx, req)
}

func arrivalOver(ctx context.Context) {
	if r, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
		r.arrived.Store(true)
		r.over()
		r.forget()
	}
}
