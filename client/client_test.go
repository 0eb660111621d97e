package client_test

import (
	"testing"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
)

// newClient returns a client in plaintext until the test ends.
func newClient(t *testing.T, target string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(target, append([]client.Option{client.WithInsecure()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	c := newClient(t, quash.Addr)
	token := quash.Mint()
	resp, err := c.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := resp.GetOutcome(), quashv1.Outcome_OUTCOME_REVOKED; got != want {
		t.Errorf("outcome %v, want %v", got, want)
	}
	_, err = c.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token})
	failure, ok := client.Failure(err)
	if !ok {
		t.Fatalf("no failure in %v", err)
	}
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED ||
		failure.State != quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED || failure.CorrelationID == "" {
		t.Errorf("%+v", failure)
	}
}
