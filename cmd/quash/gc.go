package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is the heap size below which no collection is needed. Go's default lets the heap
// double between collections. With few calls in flight quash keeps so little that it would
// collect a hundred times a second, which takes 20 % of its CPU time.
const heapFloor = 24 << 20

// defaultGOGC is Go's default, in percent.
const defaultGOGC = 100

// tuneGC lets the heap always grow to heapFloor, unless GOGC is set.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		adjustGC(defaultGOGC)
	}
}

// adjustGC sets the GC percentage for the next collection, and calls itself again after that
// collection. current is the percentage in use.
func adjustGC(current int) {
	next := growth(keptBytes())
	if next != current {
		debug.SetGCPercent(next)
	}
	// Nothing refers to the new object, so the next collection frees it.
	runtime.AddCleanup(new([64]byte), adjustGC, next)
}

// growth returns the GC percentage at which a heap with kept live bytes grows to heapFloor, but
// no less than Go's default. It is rounded to steps: each change stops the world.
func growth(kept uint64) int {
	const step, most = 25, 400
	room := heapFloor - min(heapFloor, kept)
	percent := int(room*100/max(kept, 1)) / step * step //nolint:gosec // it is below 100 times heapFloor
	return min(max(percent, defaultGOGC), most)
}

// keptBytes returns the bytes to which Go applies the GC percentage: the live heap after the
// last collection, the stacks and the globals.
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
