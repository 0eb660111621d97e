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
	// connections are those that have any of them, and how many.
	connections map[any]int
}

// arrival is a request on its way in.
type arrival struct {
	all        *arrivals
	connection any
	place      *list.Element // nil once it is over
	giveUp     func()
	timer      *time.Timer
	crowdedOut atomic.Bool // whether it was given up for another one

	// These are gRPC's: whether it is a call of Revoke, and whether its message has come.
	revokes bool
	arrived atomic.Bool
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
	r := &arrival{all: a, connection: connection, giveUp: giveUp}
	r.place = a.pending.PushBack(r)
	a.connections[connection]++
	r.timer = time.AfterFunc(a.patience, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		r.end()
	})
	return r
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
	r.timer.Stop()
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
	context.AfterFunc(ctx, r.over)
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
	}
}
