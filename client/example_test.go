package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// Revoke a token. Without an error it is dead.
func Example() {
	quash := startQuash()
	defer quash.Stop()
	ctx, token := context.Background(), quash.Mint()

	// Once, when the program starts. Beyond loopback leave WithInsecure out.
	c, err := client.New(quash.Addr, client.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	resp, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: token})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.GetOutcome())
	// Output: OUTCOME_REVOKED
}

// Wait until a token is dead in all regions, for 5 s at most. When that was too short the
// revocation goes on, so nothing is to be repeated.
func Example_allRegions() {
	quash := startQuash()
	defer quash.Stop()
	c, ctx, token := quash.newClient(), context.Background(), quash.Mint()

	_, err := c.Revoke(ctx, &quashv1.RevokeRequest{
		Token:       token,
		Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		Timeout:     durationpb.New(5 * time.Second),
	})
	failure, failed := client.Failure(err)
	switch {
	case !failed:
		fmt.Println("dead in all regions")
	case failure.State == quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS:
		fmt.Println("SlashID goes on with it")
	default:
		log.Fatal(err)
	}
	// Output: dead in all regions
}

// Make sure that a token is dead, whatever it was before. With AllowInvalid a call may be
// repeated any number of times, by a job that was interrupted for instance.
func Example_allowInvalid() {
	quash := startQuash()
	defer quash.Stop()
	c, ctx, token := quash.newClient(), context.Background(), quash.Mint()

	for range 2 {
		resp, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: token, AllowInvalid: true})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.GetOutcome())
	}
	// Output:
	// OUTCOME_REVOKED
	// OUTCOME_ALREADY_INVALID
}

// Ask an error what became of the token, why, and what to do now.
func ExampleFailure() {
	quash := startQuash()
	defer quash.Stop()
	c, ctx, token := quash.newClient(), context.Background(), quash.Mint()
	// SlashID has had enough for now.
	_ = quash.Sandbox.Script(sandbox.Fault{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "60"}})

	_, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: token})
	failure, failed := client.Failure(err)
	if !failed {
		return // it is dead
	}
	// For the log: failure.Code, Message, and CorrelationID, which SlashID's support asks
	// for. None has anything of the token.
	switch failure.State {
	case quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED:
		fmt.Println("the token is as alive as before:", failure.Reason)
	case quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS:
		fmt.Println("SlashID goes on with it:", failure.Reason)
	default: // UNKNOWN
		fmt.Println("it may be dead: repeat it with AllowInvalid:", failure.Reason)
	}
	if failure.Retryable {
		fmt.Println("to be repeated in", failure.RetryDelay)
	}
	// Output:
	// the token is as alive as before: ERROR_REASON_UPSTREAM_RATE_LIMITED
	// to be repeated in 1m0s
}

// Call a quash that demands a client certificate. The files may be replaced while the
// program runs.
func ExampleWithTLS() { //nolint:testableexamples // its files are not here
	c, err := client.New("dns:///quash.example.org:9090", client.WithTLS(client.TLSFiles{
		CAFile:   "/etc/quash/ca.crt",
		CertFile: "/etc/quash/tls.crt",
		KeyFile:  "/etc/quash/tls.key",
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}
