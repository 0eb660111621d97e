package bulk

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/quashdev/quash/internal/bulk/journal"
)

// A line is asked again after the server's delay, or else after one that doubles from
// the first of these to the last.
const firstBackoff, lastBackoff = time.Second, 30 * time.Second

// task is a line that is asked about, until it is settled.
type task struct {
	line  int64
	token string
	// before is what is known of the token so far.
	before journal.Verdict
	// attempts are all calls, tries those of this run, and charged those of them that
	// count against the line.
	attempts, tries, charged int
	sent                     time.Time // when it was asked about last
	due                      time.Time // when it is asked again
}

// backoff is how long to wait before the task is asked again, where the server has asked
// for delay. Some chance keeps apart what failed together.
func (t *task) backoff(delay time.Duration) time.Duration {
	if delay <= 0 {
		delay = lastBackoff
		if doublings := t.tries - 1; doublings < 5 {
			delay = min(firstBackoff<<doublings, lastBackoff)
		}
	}
	return delay + rand.N(delay/4+1) //nolint:gosec // not a secret
}

// waiting are the tasks to be asked again, the earliest first. It is a heap.
type waiting []*task //nolint:recvcheck // as container/heap has it

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waiting) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push is for package heap, and so is Pop.
func (w *waiting) Push(t any) { *w = append(*w, t.(*task)) } //nolint:forcetypeassert // only add pushes

// Pop forgets the task, so that its token goes with it.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	t := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return t
}

func (w *waiting) add(t *task) { heap.Push(w, t) }

// due is when the earliest is; there must be one for it to mean anything.
func (w waiting) due() time.Time {
	if len(w) == 0 {
		return time.Time{}
	}
	return w[0].due
}

// take removes the earliest.
func (w *waiting) take() *task { return heap.Pop(w).(*task) } //nolint:forcetypeassert // likewise
