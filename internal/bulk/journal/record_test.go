package journal

import (
	"testing"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

var records = map[string]record{
	"nothing":   {},
	"sent":      {hash: hash{1, 2, 3, 15: 4}, sent: true},
	"answered":  {hash: hash{0: 9}, result: Result{Unknown, quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED, codes.Unauthenticated, maxAttempts, 0, ""}},
	"problem":   {result: Result{Verdict: Problem, Problem: tokenlist.WrapGoesOn}},
	"duplicate": {hash: hash{7: 1}, result: Result{Verdict: Duplicate, First: 1<<48 - 1}},
}

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	for name, r := range records {
		for _, line := range []int64{1, 1 << 20, 1<<48 - 1} {
			b := r.encode(line)
			if got, found := decode(line, b); found != sound || got != r {
				t.Errorf("%s in line %d: %+v, %v", name, line, got, found)
			}
			if _, found := decode(line+1, b); found != damaged {
				t.Errorf("%s of line %d is taken for the next line's", name, line)
			}
		}
	}
}

func TestDamageIsSeen(t *testing.T) {
	t.Parallel()
	for name, r := range records {
		b := r.encode(5)
		for bit := range 8 * recordSize {
			b[bit/8] ^= 1 << (bit % 8)
			if _, found := decode(5, b); found == sound {
				t.Errorf("%s: bit %d may be wrong", name, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestWhatWasNeverWrittenIsAbsent(t *testing.T) {
	t.Parallel()
	if _, found := decode(5, [recordSize]byte{}); found != absent {
		t.Errorf("it is %v", found)
	}
	for name, r := range records {
		for line := range int64(1000) {
			if r.encode(line+1) == [recordSize]byte{} {
				t.Errorf("%s in line %d looks as if it had never been written", name, line+1)
			}
		}
	}
}
