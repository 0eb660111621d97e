// Package compare measures quash and other programs that do the same work, or a part of it: with
// the same calls, in the same rounds, in front of the same stub of SlashID.
//
//	compare.go    the command: its flags, the parts of a run, the page; part bulk is in package load
//	cost.go       part cost: CPU time, calls/s and latency of calls that are answered at once
//	inflight.go   part inflight: memory and connections of many concurrent calls
//	added.go      part added: the latency that quash adds at a fixed rate
//	guarantees.go part guarantees: whether answers say the truth about the token
//	recovery.go   part recovery: faulty upstreams
//	ready.go      part ready: time until ready, size of the binary
//	env.go        the environment of all measurements, and rounds
//	upstream.go   the stub of SlashID
//	contender.go  the list of contenders, and how they are started
//	quash.go nothing.go textbook.go usual.go proxy.go nginx.go   one contender each
//
// To add a contender, write a file for it, with the targets for quash, and add it to the list in
// contender.go.
package compare
