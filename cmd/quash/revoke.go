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
//	revoke.go           the flags, and the call of quash
//	revoke_one.go       one token
//	revoke_input.go     reading that token
//	revoke_list.go      a list of tokens
//	revoke_files.go     the list, and the files that a run writes
//	revoke_progress.go  the progress that a run shows

// The exit codes of quash revoke, by the outcome of the token. The exit code for a list is the
// highest one of its tokens.
const (
	exitRejected   = 3
	exitInProgress = 4
	exitUnknown    = 5
	exitNotApplied = 6
	exitIncomplete = 7
)

// exitCodes are the exit codes of single tokens.
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
	Addr     string   `default:"127.0.0.1:9090" help:"gRPC address of quash, host:port. Uses TLS, except on loopback if none of --ca-file, --cert-file and --key-file is set."`
	Insecure bool     `help:"Use plaintext beyond loopback. Tokens can then be read on the network."`
	CAFile   fileName `name:"ca-file" placeholder:"FILE" help:"PEM file with the CA certificates that verify quash's certificate. If unset, those of the system are used."`
	CertFile fileName `name:"cert-file" placeholder:"FILE" help:"PEM file with the client certificate for quash."`
	KeyFile  fileName `name:"key-file" placeholder:"FILE" help:"PEM file with the private key of --cert-file."`

	Consistency  string        `default:"local_region" enum:"local_region,all_regions" env:"-" help:"Where a token must be dead before it counts as revoked: local_region or all_regions."`
	Timeout      time.Duration `default:"30s" env:"-" help:"Time that SlashID has to reach this consistency, 1s to 2m."`
	AllowInvalid bool          `env:"-" help:"Treat tokens that SlashID rejects as dead: expired, already revoked, or not from this SlashID environment."`
	Output       string        `default:"text" enum:"text,json" env:"-" help:"Format of the result: text or json."`
	TokenFile    fileName      `env:"-" placeholder:"FILE" help:"File with the one token. If unset, the token is read from standard input."`

	listFlags `group:"List of tokens"`
}

// Help is the text of --help between the summary and the flags.
func (*revokeCmd) Help() string {
	return `Never pass a token as an argument: every user of the machine can read arguments.

Exit codes:
  0  dead: the token can no longer be used
  1  nothing was done, for instance because a file cannot be read
  2  the command line is wrong
  3  rejected: SlashID does not accept the token as valid, and did nothing
  4  in progress: SlashID has accepted the revocation and finishes it automatically
  5  unknown: the token may or may not be dead
  6  not applied: the token was not revoked
  7  incomplete: the list was not processed to its end, or is empty, or the result
     could not be written
The exit code for a list is the highest one of its tokens.`
}

// Run revokes one token, or the tokens of a list.
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
		wrong.addf("--cert-file and --key-file: set both or neither")
	}
	if c.Insecure && c.hasTLSFiles() {
		wrong.addf("--insecure means plaintext: remove it, or remove --ca-file, --cert-file and --key-file")
	}
	if c.File != "" && c.TokenFile != "" {
		wrong.addf("--file and --token-file: set only one of them")
	}
	c.listFlags.check(&wrong)
	return wrong.err()
}

func (c *revokeCmd) hasTLSFiles() bool { return c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" }

// dial returns a client. attempts is the maximum number of attempts per call.
func (c *revokeCmd) dial(attempts int) (*client.Client, error) {
	secure := client.WithTLS(client.TLSFiles{CAFile: string(c.CAFile), CertFile: string(c.CertFile), KeyFile: string(c.KeyFile)})
	if c.Insecure || isLoopback(c.Addr) && !c.hasTLSFiles() {
		secure = client.WithInsecure()
	}
	return client.New(c.Addr, secure, client.WithAttempts(attempts))
}

// answerGrace is added to --timeout for the deadline of a call. quash answers some seconds
// earlier, and its answer says more than DEADLINE_EXCEEDED does.
const answerGrace = 10 * time.Second

// call asks quash to revoke a token. It does not wait for a connection: if quash is not
// reachable, the user must see that at once.
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

// answerOf converts the result of a call.
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

// consistencyName returns "" for an unspecified consistency.
func consistencyName(c quashv1.Consistency) string {
	for name, value := range consistencies {
		if value == c {
			return name
		}
	}
	return ""
}
