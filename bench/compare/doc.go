// Package compare measures quash next to others that do its work, or a part of it: the
// same calls, in the same rounds, in front of the same stub of SlashID.
//
//	compare.go    the command: its flags, the parts of a run, the page
//	cost.go       part cost: CPU time, calls/s and latency of calls answered at once
//	inflight.go   part inflight: many calls that wait, and the memory that they take
//	added.go      part added: the latency that quash adds at a fixed rate
//	recovery.go   part recovery: upstreams that misbehave
//	ready.go      part ready: time until ready, size of the binary
//	env.go        what all measurements share; rounds
//	upstream.go   the stub of SlashID
//	contender.go  who is compared, and how one is started
//	quash.go nothing.go textbook.go proxy.go nginx.go   a contender each
//
// To add a contender, write its file, with quash's targets next to it, and name it in the
// list in contender.go.
package compare
