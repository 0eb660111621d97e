package journal

import (
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

const (
	// recordSize divides the size of a page, so that no record is ever written by halves.
	recordSize = 32
	// sumAt is where a record has its checksum.
	sumAt = recordSize - 4

	maxAttempts = 1<<16 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is what a journal has of a line. On disk it is, little end first:
//
//	0   hash of the token; zeros where there is none
//	16  verdict
//	17  1 if a call went out and there is no answer yet
//	18  the error's reason, or the number of the line's problem
//	19  the call's code
//	20  how many calls were made
//	22  the first line with the same token
//	28  checksum of all that and of the line's number
type record struct {
	hash   hash
	sent   bool
	result Result
}

// condition is in which state a record was found.
type condition int

const (
	absent  condition = iota // never written
	sound                    // as it was written
	half                     // sound, and of what may have been half a line
	damaged                  // anything else: its line may have been sent
)

func (r record) encode(line int64) (b [recordSize]byte) {
	copy(b[:], r.hash[:])
	b[16] = byte(r.result.Verdict)
	if r.sent {
		b[17] = 1
	}
	b[18] = byte(r.result.Reason) //nolint:gosec // the proto numbers them from 0, and they are few
	if r.result.Verdict == Problem {
		b[18] = r.result.Problem.Number()
	}
	b[19] = byte(r.result.Code) //nolint:gosec // they go to 16
	binary.LittleEndian.PutUint16(b[20:], uint16(min(max(0, r.result.Attempts), maxAttempts)))
	var first [8]byte
	binary.LittleEndian.PutUint64(first[:], uint64(r.result.First)) //nolint:gosec // lines are counted from 1
	copy(b[22:sumAt], first[:])
	binary.LittleEndian.PutUint32(b[sumAt:], checksum(line, b[:sumAt]))
	return b
}

func decode(line int64, b [recordSize]byte) (record, condition) {
	if b == [recordSize]byte{} {
		return record{}, absent
	}
	if binary.LittleEndian.Uint32(b[sumAt:]) != checksum(line, b[:sumAt]) || b[16] >= Verdicts {
		return record{result: Result{Verdict: Unknown}}, damaged
	}
	var first [8]byte
	copy(first[:], b[22:sumAt])
	r := record{hash: hash(b[:16]), sent: b[17] == 1, result: Result{
		Verdict:  Verdict(b[16]),
		Code:     codes.Code(b[19]),
		Attempts: int(binary.LittleEndian.Uint16(b[20:])),
		First:    int64(binary.LittleEndian.Uint64(first[:])), //nolint:gosec // it has 48 bits
	}}
	if r.result.Verdict == Problem {
		r.result.Problem = tokenlist.Numbered(b[18])
	} else {
		r.result.Reason = quashv1.ErrorReason(b[18])
	}
	return r, sound
}

// checksum is of the line too: a record is none of another line.
func checksum(line int64, b []byte) uint32 {
	return crc32.Checksum(b, castagnoli) ^ uint32(line) //nolint:gosec // the lower half tells lines apart
}

// standing is what the record says to whoever was not there: what was sent and has no
// answer may have been applied.
func (r record) standing() Result {
	result := r.result
	if r.sent {
		result.Verdict = after(result.Verdict, Unknown)
	}
	return result
}

// after returns the verdict of a line that had one before and was given another: what
// may have been applied once is not undone by a later failure, and if SlashID rejects
// the token then, that was it.
func after(before, now Verdict) Verdict {
	if !before.MaybeApplied() {
		return now
	}
	switch now {
	case Rejected:
		return AlreadyInvalid
	case Pending, NotApplied:
		return before
	case Unknown:
		return before // InProgress says more
	case Revoked, AlreadyInvalid, InProgress, Problem, Duplicate, Empty:
	}
	return now
}
