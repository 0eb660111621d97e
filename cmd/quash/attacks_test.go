package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// inNumbers is for the table of what becomes of attacks, which takes some minutes:
//
//	go test ./cmd/quash -run '^TestAttacksInNumbers$' -count=1 -v -timeout 30m -attacks
var inNumbers = flag.Bool("attacks", false, "let the attackers come in numbers, and print a table")

// siege is attacks on one server. The test lets all of them happen at once.
type siege struct {
	name   string
	secure bool // over TLS
	flags  []string
	// bound is how much more memory the server may take, in MiB, than it does for
	// honest callers alone.
	bound int64
	// lifted are flags, and variables of the environment, that take away what keeps
	// it there. An attack in numbers that holds goes beyond the bound with them.
	lifted  []string
	attacks []attack
	// upstreamHeld is whether nobody can be served until it is over.
	upstreamHeld bool
}

type attack struct {
	name string
	door string
	// do attacks, and says what it sent.
	do func(a *attacker) string
	// fates are what may become of it.
	fates string
	// holds: with the limit lifted it takes more memory than the bound.
	holds bool
	// long: it takes more time than a test should.
	long bool
}

// The doors.
const (
	overGRPC = "gRPC"
	overREST = "REST"
)

// attacker does what no client should.
type attacker struct {
	*testing.T
	*besieged
	attack

	fates *fates
	// beside are the answers that honest callers have had meanwhile.
	beside *answers
	// unlimited is whether the limit is lifted.
	unlimited bool
	// release ends that SlashID does not answer.
	release func()
}

// pick is how many: for the test and for the table.
func pick(few, many int) int {
	if *inNumbers {
		return many
	}
	return few
}

func sieges() []*siege {
	return slices.Concat(slowSieges(), largeSieges(), floodSieges(), unreadSieges(), crowdSieges())
}

// Clients that do what they like lay siege to a real quash while honest callers use
// it: its memory stays bounded, and the others are served. One siege at a time, and no
// test beside it: a collector of garbage that has no processor lets memory grow.
func TestAttacks(t *testing.T) {
	needLinux(t)
	if *inNumbers {
		t.Skip("-attacks is for TestAttacksInNumbers")
	}
	if raceDetector() {
		t.Skip("the race detector takes several times the memory, and the time of the tests beside this one")
	}
	for _, s := range sieges() {
		t.Run(s.name, func(t *testing.T) {
			attacks := slices.DeleteFunc(slices.Clone(s.attacks), func(a attack) bool { return a.long })
			got := s.lay(t, attacks, false)
			got.judge(t, s)
			t.Log(got)
		})
	}
}

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("how much memory the server takes is read from /proc, which only Linux has")
	}
}

// The same attacks come one by one and in numbers, and those that a limit holds off
// come again when it is lifted.
func TestAttacksInNumbers(t *testing.T) {
	needLinux(t)
	if !*inNumbers {
		t.Skip("it takes minutes: ask for it with -attacks")
	}
	table := []string{
		"| attack | door | what was sent | what the server did | memory before → peak, MiB | honest calls ok / failed | p50, max beside | alone |",
		"| --- | --- | --- | --- | --- | --- | --- | --- |",
	}
	for _, s := range sieges() {
		for _, a := range s.attacks {
			t.Run(strings.Join([]string{s.name, a.name, a.door}, ", "), func(t *testing.T) {
				got := s.lay(t, []attack{a}, false)
				got.judge(t, s)
				t.Log(got)
				memory := fmt.Sprintf("%d → %d", got.before>>20, got.peak>>20)
				if a.holds {
					unlimited := s.lay(t, []attack{a}, true)
					memory += fmt.Sprintf(" (%d without the limit)", unlimited.peak>>20)
					if unlimited.growth() <= s.bound<<20 {
						t.Errorf("without the limit it grows by %d MiB, which is within the bound of %d: the bound shows nothing", unlimited.growth()>>20, s.bound)
					}
				}
				door := a.door
				if s.secure {
					door += ", TLS"
				}
				table = append(table, fmt.Sprintf("| %s | %s | %s | %s | %s | %d / %d | %s | %s |",
					a.name, door, got.sent[0], got.fates[0], memory, len(got.beside.took), len(got.beside.wrong), got.beside.latencies(), got.alone.latencies()))
			})
		}
	}
	t.Logf("\n%s", strings.Join(table, "\n"))
}

// outcome is what came of a siege.
type outcome struct {
	attacks       []attack
	sent          []string
	fates         []*fates
	before, peak  int64 // bytes
	alone, beside *answers
}

func (o *outcome) growth() int64 { return o.peak - o.before }

func (o *outcome) String() string {
	var b strings.Builder
	for i, a := range o.attacks {
		fmt.Fprintf(&b, "%s, %s: %s: %s\n", a.name, a.door, o.sent[i], o.fates[i])
	}
	fmt.Fprintf(&b, "%d → %d MiB; %d honest calls ok, %d failed, %s; alone %s",
		o.before>>20, o.peak>>20, len(o.beside.took), len(o.beside.wrong), o.beside.latencies(), o.alone.latencies())
	return b.String()
}

func (o *outcome) judge(t *testing.T, s *siege) {
	t.Helper()
	for i, a := range o.attacks {
		allowed := strings.Split(a.fates, "|")
		for fate, n := range o.fates[i].counts {
			if !slices.Contains(allowed, fate) {
				t.Errorf("%s, %s: %s ×%d; want %s", a.name, a.door, fate, n, a.fates)
			}
		}
		if len(o.fates[i].counts) == 0 {
			t.Errorf("%s, %s: nothing became of it", a.name, a.door)
		}
	}
	for _, err := range slices.Concat(o.alone.wrong, o.beside.wrong) {
		t.Errorf("an honest call: %v", err)
	}
	if len(o.beside.took) == 0 {
		t.Error("no honest call was made")
	}
	if o.growth() > s.bound<<20 {
		t.Errorf("memory grew from %d to %d MiB, by more than %d", o.before>>20, o.peak>>20, s.bound)
	}
}

func raceDetector() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// lay lets the attacks happen while honest callers call, and returns what came of
// it.
func (s *siege) lay(t *testing.T, attacks []attack, unlimited bool) *outcome {
	t.Helper()
	flags, environment := slices.Clone(s.flags), os.Environ()
	if unlimited {
		for _, l := range s.lifted {
			if strings.HasPrefix(l, "--") {
				flags = append(flags, l)
			} else {
				environment = append(environment, l)
			}
		}
	}
	server := startBesieged(t, s.secure, flags, environment)
	o := &outcome{attacks: attacks, sent: make([]string, len(attacks)), alone: &answers{}, beside: &answers{}}
	server.callHonestly(t, o.alone, func(calls int) bool { return calls >= pick(10, 100) })
	o.before = server.memory(t, "VmRSS")
	server.forgetPeak(t)

	over := make(chan struct{})
	release := func() {}
	var honest, attackers sync.WaitGroup
	if s.upstreamHeld {
		release = server.upstream.hold()
	} else {
		honest.Go(func() {
			server.callHonestly(t, o.beside, func(int) bool { return closed(over) })
		})
		o.beside.await(4) // each has come in
	}
	for i, a := range attacks {
		by := &attacker{T: t, besieged: server, attack: a, fates: &fates{counts: map[string]int{}}, beside: o.beside, unlimited: unlimited, release: release}
		o.fates = append(o.fates, by.fates)
		attackers.Go(func() { o.sent[i] = a.do(by) })
	}
	attackers.Wait()
	release()
	close(over)
	honest.Wait()
	o.peak = server.memory(t, "VmHWM")
	if s.upstreamHeld {
		server.callHonestly(t, o.beside, func(calls int) bool { return calls >= pick(10, 100) })
	}
	return o
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// each does something n times at once.
func each(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// eachOverHTTP2 is each with a connection to itself, while there is one to be had.
func (a *attacker) eachOverHTTP2(n int, do func(i int, c *rawHTTP2)) {
	each(n, func(i int) {
		c, err := a.connectHTTP2()
		if err != nil {
			a.fates.add(notLetIn)
			return
		}
		defer c.Close()
		do(i, c)
	})
}

// stay returns when honest callers have called a number of times since.
func (a *attacker) stay() { a.beside.await(a.beside.count() + pick(20, 400)) }

// fates counts what became of what an attacker did.
type fates struct {
	mu     sync.Mutex
	counts map[string]int
}

func (f *fates) add(fate string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[fate]++
}

func (f *fates) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, fate := range slices.Sorted(maps.Keys(f.counts)) {
		all = append(all, fmt.Sprintf("%s ×%d", fate, f.counts[fate]))
	}
	return strings.Join(all, ", ")
}
