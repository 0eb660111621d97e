package main

import (
	"context"
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
//	revoke_input.go     reading that token
//	revoke_list.go      many tokens
//	revoke_files.go     the list, and the files that a run writes
//	revoke_progress.go  how far it is

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

	Consistency  string        `default:"local_region" enum:"local_region,all_regions" env:"-" help:"Where a token is to be dead before it counts as revoked: local_region or all_regions."`
	Timeout      time.Duration `default:"30s" env:"-" help:"How long SlashID may take for that, 1s to 2m."`
	AllowInvalid bool          `env:"-" help:"Count a token that SlashID rejects as dead: it is expired, revoked before, or none of its tokens."`
	Output       string        `default:"text" enum:"text,json" env:"-" help:"How to write what became of it: text or json."`
	TokenFile    fileName      `env:"-" placeholder:"FILE" help:"A file with the one token, which otherwise comes over standard input."`

	listFlags `group:"Many tokens"`
}

// Help is for --help, below what the command is for.
func (*revokeCmd) Help() string {
	return `A token is never an argument: everyone on the machine can read those.

Exit codes:
  0  dead: the token cannot be used any more
  1  nothing was done: a file cannot be read, for instance
  2  the command line is wrong
  3  rejected: SlashID does not take it for a valid token, and did nothing
  4  in progress: SlashID has accepted it, and goes on by itself
  5  unknown: the token may be dead or not
  6  not applied: the token was not revoked
  7  incomplete: the list was not gone through, or is empty, or the outcome could not
     be written
A list ends with the highest code of its tokens.`
}

// Run revokes one token, or those of a list.
func (c *revokeCmd) Run(ctx context.Context, std streams) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.File != "" {
		return c.revokeList(ctx, std)
	}
	return c.revokeOne(ctx, std)
}

func (c *revokeCmd) check() error {
	var wrong usageError
	if err := checkAddr(c.Addr); err != nil {
		wrong.addf("--addr %q: %s", c.Addr, err)
	}
	checkRange(&wrong, "--timeout", c.Timeout, time.Second, 120*time.Second)
	if (c.CertFile == "") != (c.KeyFile == "") {
		wrong.addf("--cert-file and --key-file go together")
	}
	if c.Insecure && c.hasTLSFiles() {
		wrong.addf("--insecure is plaintext, which needs no --ca-file, --cert-file or --key-file")
	}
	if c.File != "" && c.TokenFile != "" {
		wrong.addf("--file and --token-file exclude each other")
	}
	c.listFlags.check(&wrong)
	return wrong.err()
}

func (c *revokeCmd) hasTLSFiles() bool { return c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" }

// dial makes a client that makes each call up to so many times.
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
		Consistency:  consistencies[c.Consistency],
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

var consistencies = map[string]quashv1.Consistency{
	"local_region":  quashv1.Consistency_CONSISTENCY_LOCAL_REGION,
	bulk.AllRegions: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
}

// consistencyName is "" where nothing is known of regions.
func consistencyName(c quashv1.Consistency) string {
	for name, value := range consistencies {
		if value == c {
			return name
		}
	}
	return ""
}
