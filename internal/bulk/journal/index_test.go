package journal

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// The index is held against a map, with tables so small that many are begun and many
// buckets are full, and with hashes that nearly agree.
func TestIndex(t *testing.T) {
	t.Parallel()
	x, err := newIndex(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.close() })
	x.first = 1
	const lines = 20_000
	chance := rand.New(rand.NewPCG(1, 2))
	hashes := make([]hash, lines+1)
	first := map[hash]int64{}
	for line := int64(1); line <= lines; line++ {
		h := &hashes[line]
		binary.LittleEndian.PutUint64(h[:], chance.Uint64N(2000)<<3)
		binary.LittleEndian.PutUint16(h[8:], uint16(chance.IntN(4)))
		h[15] = byte(chance.IntN(4))
		got, err := x.add(*h, line, func(line int64) (bool, error) { return hashes[line] == *h, nil })
		if err != nil {
			t.Fatal(err)
		}
		if got != first[*h] {
			t.Fatalf("line %d has the same token as line %d, and the index says %d", line, first[*h], got)
		}
		if got == 0 {
			first[*h] = line
		}
	}
	if len(x.levels) < 5 {
		t.Errorf("only %d tables were begun", len(x.levels))
	}
}
