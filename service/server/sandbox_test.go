package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// startWithSandbox runs a façade in front of a sandbox, on real tokens.
func startWithSandbox(t *testing.T) (*facade, *sandbox.Server) {
	t.Helper()
	s := sandbox.Start(t, sandbox.Config{})
	f := startFacade(t, newUpstream(t, s.URL), func(svc *service.Config, _ *server.Config) {
		svc.APIKey = func() slashid.Secret { return slashid.NewSecret(sandbox.DefaultAPIKey) }
	})
	return f, s
}

// revokeIn asks one door to revoke a token within a second, and returns what
// became of it in words that all doors share.
type revokeIn func(t *testing.T, f *facade, token string, level quashv1.Consistency) string

var everyDoor = map[string]revokeIn{
	doorGRPC: func(t *testing.T, f *facade, token string, level quashv1.Consistency) string {
		resp, err := f.grpc.Revoke(t.Context(), fromYAML(t, map[string]any{
			"token": token, "consistency": level.String(), "timeout": "1s",
		}, &quashv1.RevokeRequest{}))
		if err == nil {
			return resp.GetOutcome().String()
		}
		st := status.Convert(err)
		for _, d := range st.Details() {
			if failure, ok := d.(*quashv1.RevokeFailure); ok {
				return st.Code().String() + " " + failure.GetState().String()[len("REVOCATION_STATE_"):]
			}
		}
		return st.Code().String()
	},
	doorNative: func(t *testing.T, f *facade, token string, level quashv1.Consistency) string {
		resp, body := f.post(t, nativePath, jsonHeader, toJSON(t, map[string]any{
			"token": token, "consistency": level.String(), "timeout": "1s",
		}))
		return wordsOfHTTP(t, resp, body, map[int]codes.Code{
			http.StatusGatewayTimeout: codes.DeadlineExceeded,
			http.StatusBadRequest:     codes.InvalidArgument,
		})
	},
	doorDropIn: func(t *testing.T, f *facade, token string, level quashv1.Consistency) string {
		header := jsonHeader.Clone()
		header.Set("SlashID-Required-Consistency-Timeout", "1")
		if level == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
			header.Set("SlashID-Required-Consistency", "all_regions")
		}
		resp, body := f.post(t, dropInPath, header, toJSON(t, map[string]any{"token": token}))
		return wordsOfHTTP(t, resp, body, map[int]codes.Code{
			http.StatusRequestTimeout: codes.DeadlineExceeded,
			http.StatusBadRequest:     codes.InvalidArgument,
		})
	},
}

func wordsOfHTTP(t *testing.T, resp *http.Response, body []byte, meaning map[int]codes.Code) string {
	t.Helper()
	switch resp.StatusCode {
	case http.StatusNoContent:
		return "OUTCOME_REVOKED"
	case http.StatusOK:
		answer := &quashv1.RevokeResponse{}
		decode(t, body, answer)
		return answer.GetOutcome().String()
	}
	state := resp.Header.Get("Quash-Revocation-State")
	if resp.Request.URL.Path == nativePath {
		state = nativeState(t, body)
	}
	return meaning[resp.StatusCode].String() + " " + state
}

func TestOnRealTokens(t *testing.T) {
	t.Parallel()
	for door, revoke := range everyDoor {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			f, s := startWithSandbox(t)
			for _, container := range []bool{false, true} {
				token, err := s.Mint(sandbox.MintOptions{Container: container})
				if err != nil {
					t.Fatal(err)
				}
				if got := revoke(t, f, token, quashv1.Consistency_CONSISTENCY_ALL_REGIONS); got != "OUTCOME_REVOKED" {
					t.Errorf("the first time: %s", got)
				}
				expectDeadEverywhere(t, s, token)
				if got := revoke(t, f, token, quashv1.Consistency_CONSISTENCY_ALL_REGIONS); got != "InvalidArgument NOT_APPLIED" {
					t.Errorf("the second time: %s", got)
				}
			}
		})
	}
}

// A region that lags does not hold up who asks for the local one.
func TestLocalRegionIsAtOnce(t *testing.T) {
	t.Parallel()
	for door, revoke := range everyDoor {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			f, s := startWithSandbox(t)
			lag(t, s, 5*time.Second)
			token := mint(t, s)
			if got := revoke(t, f, token, quashv1.Consistency_CONSISTENCY_LOCAL_REGION); got != "OUTCOME_REVOKED" {
				t.Errorf("got %s", got)
			}
			dead, err := s.Revoked(token)
			if err != nil || !dead["us-east"] || dead["ap-south"] {
				t.Errorf("dead in %v, %v: want us-east, and ap-south only later", dead, err)
			}
		})
	}
}

// SlashID's 408 is an unfinished revocation, not a failed one: with a region 5 s
// behind and 1 s of patience it says so, and afterwards the token is dead.
func TestLaggingRegionIsInProgress(t *testing.T) {
	t.Parallel()
	for door, revoke := range everyDoor {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			f, s := startWithSandbox(t)
			lag(t, s, 5*time.Second)
			token := mint(t, s)
			if got := revoke(t, f, token, quashv1.Consistency_CONSISTENCY_ALL_REGIONS); got != "DeadlineExceeded IN_PROGRESS" {
				t.Errorf("got %s", got)
			}
			lag(t, s, 0) // the region catches up
			expectDeadEverywhere(t, s, token)
		})
	}
}

func lag(t *testing.T, s *sandbox.Server, d time.Duration) {
	t.Helper()
	if err := s.SetRegion("ap-south", sandbox.RegionSettings{Lag: d}); err != nil {
		t.Fatal(err)
	}
}

func mint(t *testing.T, s *sandbox.Server) string {
	t.Helper()
	token, err := s.Mint(sandbox.MintOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func expectDeadEverywhere(t *testing.T, s *sandbox.Server, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.WaitRevoked(ctx, token); err != nil {
		t.Errorf("the token is not dead everywhere: %v", err)
	}
}
