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

// Revoke a token. If there is no error, the token is dead.
func Example() {
	quash := startQuash()
	defer quash.Stop()
	ctx, token := context.Background(), quash.Mint()

	// Create one client when the program starts. Use WithInsecure only on loopback.
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

// Wait at most 5 s until a token is dead in all regions. If that is too short, SlashID
// completes the revocation, so do not retry.
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
		fmt.Println("SlashID will complete it")
	default:
		log.Fatal(err)
	}
	// Output: dead in all regions
}

// Make sure that a token is dead, whether or not it was live before. With AllowInvalid you can
// retry a call any number of times, for example in a job that was interrupted.
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

// Read from an error whether the token is dead, why the call failed, and what to do.
func ExampleFailure() {
	quash := startQuash()
	defer quash.Stop()
	c, ctx, token := quash.newClient(), context.Background(), quash.Mint()
	// SlashID limits the rate of requests.
	_ = quash.Sandbox.Script(sandbox.Fault{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "60"}})

	_, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: token})
	failure, failed := client.Failure(err)
	if !failed {
		return // it is dead
	}
	// Log failure.Code, Message, and CorrelationID, which SlashID's support asks for. They
	// contain no part of the token.
	switch failure.State {
	case quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED:
		fmt.Println("this call did nothing to the token:", failure.Reason)
	case quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS:
		fmt.Println("SlashID will complete it:", failure.Reason)
	default: // UNKNOWN
		fmt.Println("the token may be dead; retry with AllowInvalid:", failure.Reason)
	}
	if failure.Retryable {
		fmt.Println("retry in", failure.RetryDelay)
	}
	// Output:
	// this call did nothing to the token: ERROR_REASON_UPSTREAM_RATE_LIMITED
	// retry in 1m0s
}

// Call a quash that requires a client certificate. You can replace the files while the
// program runs.
func ExampleWithTLS() { //nolint:testableexamples // the files do not exist
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
