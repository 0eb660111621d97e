package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is how large the heap may always become before garbage is collected. By Go's
// own rule it may double, and what a quash keeps for a few calls in flight is so little
// that it would collect a hundred times a second.
const heapFloor = 24 << 20

// goGrowth is Go's own rule, in percent.
const goGrowth = 100

// collectRarely has the heap grow to heapFloor at least. Whoever sets GOGC gets that.
func collectRarely() {
	if os.Getenv("GOGC") == "" {
		adjust(goGrowth)
	}
}

// adjust sets how much the heap may grow until the next collection, in percent of what the
// last one kept, and does so again after that. now is how it is set.
func adjust(now int) {
	next := growth(kept())
	if next != now {
		debug.SetGCPercent(next)
	}
	runtime.AddCleanup(new([64]byte), adjust, next) // which nobody has: it goes with the next collection
}

// growth is what lets a heap that keeps so many bytes become as large as heapFloor, and
// Go's own where that is more. It goes in steps, because to set it stops the world.
func growth(kept uint64) int {
	const step, most = 25, 400
	bytes := heapFloor - min(heapFloor, kept)
	percent := int(bytes*100/max(kept, 1)) / step * step //nolint:gosec // it is below 100 times heapFloor
	return min(max(percent, goGrowth), most)
}

// kept is what the last collection kept, and what Go adds to that when it works out how far
// the heap may grow.
func kept() (bytes uint64) {
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
