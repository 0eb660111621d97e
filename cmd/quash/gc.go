package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is how large the heap may always become before garbage is collected. By Go's
// own rule it may double, and what quash keeps for a few calls in flight is so little
// that it would collect a hundred times a second: 20 % of its CPU time.
const heapFloor = 24 << 20

// defaultGOGC is Go's own rule, in percent.
const defaultGOGC = 100

// tuneGC lets the heap grow to heapFloor at least, unless GOGC is set.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		adjustGC(defaultGOGC)
	}
}

// adjustGC sets how much the heap may grow until the next collection, in percent of what
// the last one kept, and does so again after that. current is how it is set.
func adjustGC(current int) {
	next := growth(keptBytes())
	if next != current {
		debug.SetGCPercent(next)
	}
	// Nothing refers to the new object, so the next collection frees it.
	runtime.AddCleanup(new([64]byte), adjustGC, next)
}

// growth is the percentage with which a heap that keeps so many bytes grows to heapFloor,
// or Go's own if that is more. It goes in steps, because setting it stops the world.
func growth(kept uint64) int {
	const step, most = 25, 400
	room := heapFloor - min(heapFloor, kept)
	percent := int(room*100/max(kept, 1)) / step * step //nolint:gosec // it is below 100 times heapFloor
	return min(max(percent, defaultGOGC), most)
}

// keptBytes is what the last collection kept, and what Go adds to that when it works out
// how far the heap may grow.
func keptBytes() (bytes uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/scan/stack:bytes"},
		{Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return bytes
}
