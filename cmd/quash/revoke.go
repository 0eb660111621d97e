package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk"
)

// The files of quash revoke:
//
//	revoke.go           the flags, and how quash is called
//	revoke_one.go       one token
//	revoke_input.go     where that comes from
//	revoke_list.go      many of them
//	revoke_files.go     the files that this reads and writes
//	revoke_progress.go  what is said meanwhile

// The exit codes of quash revoke, by what became of the token. A list has that of the
// token that is worst off.
const (
	exitRejected   = 3
	exitInProgress = 4
	exitUnknown    = 5
	exitNotApplied = 6
	exitIncomplete = 7
)

// exitCodes are those of single tokens.
var exitCodes = map[bulk.Outcome]int{
	bulk.Dead:       exitOK,
	bulk.Rejected:   exitRejected,
	bulk.InProgress: exitInProgress,
	bulk.Unknown:    exitUnknown,
	bulk.NotApplied: exitNotApplied,
	bulk.NotAsked:   exitNotApplied,
	bulk.NoToken:    exitNotApplied,
}

type revokeCmd struct {
	Addr     string   `default:"127.0.0.1:9090" help:"The gRPC address of the quash to ask, host:port. On loopback it is asked in plaintext, unless a file for TLS is named."`
	Insecure bool     `help:"Speak plaintext beyond loopback too: tokens can be read on the way."`
	CAFile   fileName `name:"ca-file" placeholder:"FILE" help:"PEM certificates of the authorities that vouch for quash; those of the system otherwise."`
	CertFile fileName `name:"cert-file" placeholder:"FILE" help:"A PEM file with the certificate to show to quash."`
	KeyFile  fileName `name:"key-file" placeholder:"FILE" help:"A PEM file with its private key."`

	Consistency  consistency   `default:"local_region" env:"-" help:"Where a token is to be dead before it counts as revoked: local_region or all_regions."`
	Timeout      time.Duration `default:"30s" env:"-" help:"How long SlashID may take for that, 1s to 120s."`
	AllowInvalid bool          `env:"-" help:"Count a token that SlashID rejects as dead: it is expired, revoked before, or none of its tokens."`
	Output       outputFormat  `default:"text" env:"-" help:"How to say what became of it: text or json."`
	TokenFile    fileName      `env:"-" placeholder:"FILE" help:"A file with the one token, which otherwise comes over standard input."`

	listFlags `group:"Many tokens"`
}

// Help is for --help, below what the command is for.
func (*revokeCmd) Help() string {
	return `A token is never an argument, for those can be read by everyone on the machine.

Exit codes:
  0  dead: the token cannot be used any more
  1  nothing was done, for a file cannot be read, say
  2  the command line is wrong
  3  rejected: SlashID does not take it for a valid token, and did nothing
  4  in progress: SlashID has accepted it, and goes on by itself
  5  unknown: nobody can say whether the token is dead
  6  not applied: the token was not revoked
  7  incomplete: the list was not gone through, or is empty, or the outcome could not
     be written
A list ends with the highest code of its tokens.`
}

// Run revokes one token, or those of a list.
func (c *revokeCmd) Run(ctx context.Context, std streams, unreadable *usageError) error {
	problems := append(append(unreadable.problems, c.check()...), c.listFlags.check(c.TokenFile != "")...)
	if len(problems) > 0 {
		return &usageError{problems}
	}
	// What gRPC has to say of connections is in the errors too, and there without what a
	// peer may have repeated.
	withholdForeignLogs(slog.New(slog.DiscardHandler))
	if c.File != "" {
		return c.revokeList(ctx, std)
	}
	return c.revokeOne(ctx, std)
}

// The timeouts that SlashID can be given.
const leastTimeout, mostTimeout = time.Second, 120 * time.Second

func (c *revokeCmd) check() (problems []string) {
	if err := checkAddr(c.Addr); err != nil {
		problems = append(problems, fmt.Sprintf("--addr %q: %s", c.Addr, err))
	}
	if c.Timeout < leastTimeout || c.Timeout > mostTimeout {
		problems = append(problems, fmt.Sprintf("--timeout must be from %s to %s, and is %s", leastTimeout, mostTimeout, c.Timeout))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		problems = append(problems, "--cert-file and --key-file go together")
	}
	if c.Insecure && c.hasTLSFiles() {
		problems = append(problems, "--insecure is plaintext, which needs no --ca-file, --cert-file or --key-file")
	}
	return problems
}

func (c *revokeCmd) hasTLSFiles() bool { return c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" }

// dial makes a client, whose calls are made so many times at the most.
func (c *revokeCmd) dial(attempts int) (*client.Client, error) {
	secure := client.WithTLS(client.TLSFiles{CAFile: string(c.CAFile), CertFile: string(c.CertFile), KeyFile: string(c.KeyFile)})
	if c.Insecure || isLoopback(c.Addr) && !c.hasTLSFiles() {
		secure = client.WithInsecure()
	}
	return client.New(c.Addr, secure, client.WithAttempts(attempts))
}

// answerGrace is how much longer than SlashID a call may take: quash has an answer some
// seconds before that, which says more than that time is up.
const answerGrace = 10 * time.Second

// call asks quash to revoke a token. It fails at once where there is no quash: the
// user wants to know.
func (c *revokeCmd) call(ctx context.Context, quash *client.Client, token string) (*quashv1.RevokeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+answerGrace)
	defer cancel()
	return quash.Revoke(ctx, &quashv1.RevokeRequest{
		Token:        token,
		Consistency:  quashv1.Consistency(c.Consistency),
		Timeout:      durationpb.New(c.Timeout),
		AllowInvalid: c.AllowInvalid,
	}, grpc.WaitForReady(false))
}

// answerOf is what a call came to.
func answerOf(resp *quashv1.RevokeResponse, err error) bulk.Answer {
	failure, failed := client.Failure(err)
	if !failed {
		return bulk.Answer{Success: resp.GetOutcome()}
	}
	return bulk.Answer{Code: failure.Code, Reason: failure.Reason, State: failure.State, RetryDelay: failure.RetryDelay, Message: failure.Message}
}

// consistency is quash's, in the words of the command line.
type consistency quashv1.Consistency

func parseConsistency(text string) (consistency, error) {
	switch text {
	case "local_region":
		return consistency(quashv1.Consistency_CONSISTENCY_LOCAL_REGION), nil
	case bulk.AllRegions:
		return consistency(quashv1.Consistency_CONSISTENCY_ALL_REGIONS), nil
	default:
		return 0, errors.New("unknown consistency")
	}
}

// String is "" where nothing is known of regions.
func (c consistency) String() string {
	return map[quashv1.Consistency]string{
		quashv1.Consistency_CONSISTENCY_LOCAL_REGION: "local_region",
		quashv1.Consistency_CONSISTENCY_ALL_REGIONS:  bulk.AllRegions,
	}[quashv1.Consistency(c)]
}

type outputFormat string

const (
	outputText outputFormat = "text"
	outputJSON outputFormat = "json"
)

func parseOutputFormat(text string) (outputFormat, error) {
	switch format := outputFormat(text); format {
	case outputText, outputJSON:
		return format, nil
	default:
		return "", errors.New("unknown format")
	}
}

// perSecond is how many at the most; 0 is any number.
type perSecond float64

func parsePerSecond(text string) (perSecond, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= maxRate) { // nor NaN
		return 0, cmp.Or(err, errors.New("out of range"))
	}
	return perSecond(n), nil
}

// maxRate is more than any machine can do.
const maxRate = 1e9
