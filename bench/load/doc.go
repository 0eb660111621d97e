// Package load has ghz call quash, each call with a token of its own, and fails
// unless every call was OK and every token is dead: ghz itself succeeds also when no call
// did.
//
//	load.go     the command; fresh tokens, and whether they are dead
//	ghz.json    ghz's configuration; docs/load.md shows it to users
//	ghz.go      ghz: installed, run
//	report.go   ghz's report, and why a run fails
//	bulk.go     quash revoke --file next to ghz
package load
