package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRevokeRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	revoked := mint(t, s, MintOptions{})
	wantStatus(t, revoke(t.Context(), s, revoked), http.StatusNoContent)

	for name, tt := range map[string]struct {
		body   string
		header []string
	}{
		"no body":                 {body: ""},
		"malformed JSON":          {body: `{"token":`},
		"another type":            {body: `{"token":1}`},
		"no object":               {body: `"` + token + `"`},
		"trailing JSON":           {body: tokenBody(token) + "{}"},
		"no token":                {body: `{}`},
		"null":                    {body: `{"token":null}`},
		"empty token":             {body: tokenBody("")},
		"malformed token":         {body: tokenBody(token[1:])},
		"foreign token":           {body: tokenBody(mint(t, newSandbox(t, Config{}), MintOptions{}))},
		"expired token":           {body: tokenBody(mint(t, s, MintOptions{Lifetime: -time.Second}))},
		"revoked token":           {body: tokenBody(revoked)},
		"a body over 64 KiB":      {body: tokenBody(token) + strings.Repeat(" ", maxBody)},
		"an unknown level":        {body: tokenBody(token), header: []string{consistencyHeader, "everywhere"}},
		"a timeout out of bounds": {body: tokenBody(token), header: []string{consistencyTimeoutHeader, "121"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(t.Context(), http.MethodPost, "/token/revoke", tt.body, append(tt.header, apiKeyHeader, DefaultAPIKey)...)
			w := serve(s, r)
			wantStatus(t, w, http.StatusBadRequest)
			if strings.Contains(w.Body.String(), token[:20]) {
				t.Errorf("the answer quotes a token: %s", w.Body)
			}
		})
	}
	t.Cleanup(func() { wantRevoked(t, s, token) })
}

func TestUnknownMembersAreLetThrough(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	body := `{"token":"` + mint(t, s, MintOptions{}) + `","reason":"stolen"}`
	r := newRequest(t.Context(), http.MethodPost, "/token/revoke", body, apiKeyHeader, DefaultAPIKey)
	wantStatus(t, serve(s, r), http.StatusNoContent)
}

func TestLocalRegionAnswersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Hour})
		token := mint(t, s, MintOptions{})
		begun := time.Now()
		wantStatus(t, revoke(t.Context(), s, token, consistencyHeader, localRegion), http.StatusNoContent)
		if elapsed := time.Since(begun); elapsed != 0 {
			t.Errorf("answered after %v", elapsed)
		}
		wantRevoked(t, s, token, "us-east")
	})
}

func TestAllRegionsAnswersWhenTheLastHasApplied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Second})
		setRegion(t, s, "ap-south", RegionSettings{Lag: 4 * time.Second})
		token := mint(t, s, MintOptions{})
		begun := time.Now()
		wantStatus(t, revoke(t.Context(), s, token, consistencyHeader, allRegions), http.StatusNoContent)
		if elapsed := time.Since(begun); elapsed != 4*time.Second {
			t.Errorf("answered after %v, want 4s", elapsed)
		}
		wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
	})
}

func TestReplicationGoesOnAfterATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: 5 * time.Second})
		token := mint(t, s, MintOptions{})
		begun := time.Now()
		wantStatus(t, revoke(t.Context(), s, token, consistencyHeader, allRegions, consistencyTimeoutHeader, "1"), http.StatusRequestTimeout)
		if elapsed := time.Since(begun); elapsed != time.Second {
			t.Errorf("answered after %v, want 1s", elapsed)
		}
		wantRevoked(t, s, token, "us-east")

		wantStatus(t, revoke(t.Context(), s, token, consistencyHeader, allRegions), http.StatusBadRequest)
		if err := s.WaitRevoked(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if elapsed := time.Since(begun); elapsed != 5*time.Second {
			t.Errorf("dead everywhere after %v, want 5s", elapsed)
		}
	})
}

func TestTheDefaultTimeoutIs30Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Hour})
		begun := time.Now()
		wantStatus(t, revoke(t.Context(), s, mint(t, s, MintOptions{}), consistencyHeader, allRegions), http.StatusRequestTimeout)
		if elapsed := time.Since(begun); elapsed != 30*time.Second {
			t.Errorf("answered after %v", elapsed)
		}
	})
}

func TestRevocationSurvivesTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: 5 * time.Second})
		token := mint(t, s, MintOptions{})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		begun := time.Now()
		revoke(ctx, s, token, consistencyHeader, allRegions)
		if elapsed := time.Since(begun); elapsed != time.Second {
			t.Errorf("the call ended after %v, want with its client", elapsed)
		}
		if err := s.WaitRevoked(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestContainersDieWithTheirUserToken(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"the container", "the user token"} {
		t.Run("revoking "+name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, Config{})
			container := mint(t, s, MintOptions{Container: true})
			user, _ := payload(t, container)["user_token"].(string)
			revoking := container
			if name == "the user token" {
				revoking = user
			}
			wantStatus(t, revoke(t.Context(), s, revoking), http.StatusNoContent)
			for _, token := range []string{container, user} {
				wantStatus(t, revoke(t.Context(), s, token), http.StatusBadRequest)
				wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
			}
		})
	}
}

// Once the local region applies revocations at once, one call of many wins.
func TestOneOfManyConcurrentRevocationsWins(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	answers := revokeConcurrently(t, s, 50, func(int) string { return token })
	if answers[http.StatusNoContent] != 1 || answers[http.StatusBadRequest] != 49 {
		t.Errorf("answers by status: %v, want one 204 and 49 times 400", answers)
	}
}

// While the local region has yet to apply it, every call joins the revocation.
func TestConcurrentRevocationsJoinAPendingOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		setRegion(t, s, "us-east", RegionSettings{Partitioned: true})
		token := mint(t, s, MintOptions{})
		time.AfterFunc(10*time.Second, func() { setRegion(t, s, "us-east", RegionSettings{}) })
		begun := time.Now()
		answers := revokeConcurrently(t, s, 50, func(int) string { return token })
		if answers[http.StatusNoContent] != 50 {
			t.Errorf("answers by status: %v, want 50 times 204", answers)
		}
		if elapsed := time.Since(begun); elapsed != 10*time.Second {
			t.Errorf("answered after %v, want 10s", elapsed)
		}
		if n := len(s.ledger.accepted()); n != 1 {
			t.Errorf("%d revocations are listed, want 1", n)
		}
	})
}

func TestManyWaitAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 500
		s := newSandbox(t, Config{ReplicationLag: 20 * time.Second})
		tokens := make([]string, calls)
		for i := range tokens {
			tokens[i] = mint(t, s, MintOptions{})
		}
		answers := revokeConcurrently(t, s, calls, func(i int) string { return tokens[i] })
		if answers[http.StatusNoContent] != calls {
			t.Errorf("answers by status: %v", answers)
		}
	})
}

// revokeConcurrently asks for all_regions n times, and counts the answers by
// status.
func revokeConcurrently(t *testing.T, s *Sandbox, n int, token func(i int) string) map[int]int {
	t.Helper()
	answers := make([]*httptest.ResponseRecorder, n)
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { answers[i] = revoke(t.Context(), s, token(i), consistencyHeader, allRegions) })
	}
	calls.Wait()
	byStatus := make(map[int]int)
	for _, w := range answers {
		wantStatus(t, w, w.Code)
		byStatus[w.Code]++
	}
	return byStatus
}

func FuzzRevoke(f *testing.F) {
	// $TOKEN and $EXPIRED stand for tokens of the sandbox under test: a fuzzing
	// worker has a signing key of its own.
	for _, body := range []string{
		`{"token":"$TOKEN"}`, `{"token":"$EXPIRED"}`, `{"token":"$TOKEN.x"}`, `{"token":"$TOKEN","token":""}`,
		`{"token":"a.b.c"}`, `{"token":"eyJhbGciOiJub25lIn0.e30."}`, `{"token":"\u0000"}`, `{"token":null}`, `[]`, `{`, ``,
	} {
		f.Add(body, DefaultAPIKey, "", localRegion, "30")
	}
	f.Add(`{"token":"$TOKEN"}`, "?", "Bearer $TOKEN", allRegions, "1")
	f.Add(`{"token":"$TOKEN"}`, "", "Bearer $EXPIRED", "", "")
	for _, body := range []string{
		`{"token":"$TOKEN"} {}`, `{"token":["$TOKEN"]}`, `{"$TOKEN":1}`, `"$TOKEN"`, `{"Token":"$TOKEN"}`, "{\"token\":\"$TOKEN\xff\"}",
		`{"token":" $TOKEN"}`, `{"token":"$TOKEN","x":{"token":"$EXPIRED"}}`, "\ufeff" + `{"token":"$TOKEN"}`,
	} {
		f.Add(body, DefaultAPIKey, "", localRegion, "30")
	}
	f.Add(`{"token":"$TOKEN"}`, "", "bearer $TOKEN", allRegions, "120")
	f.Add(`{"token":"$TOKEN"}`, DefaultAPIKey, "Bearer $TOKEN", localRegion, "+30")
	f.Add(`{"token":"$TOKEN"}`, DefaultAPIKey, "", "$TOKEN", "0")
	f.Add(`{"token":"$TOKEN"}`, DefaultAPIKey, "", allRegions, "121")
	f.Add(`{"token":"$TOKEN"}`, DefaultAPIKey, "", "ALL", "-0x1")

	s := newSandbox(f, Config{})
	expired := mint(f, s, MintOptions{Lifetime: -time.Hour})
	f.Fuzz(func(t *testing.T, body, key, authorization, level, timeout string) {
		token := mint(t, s, MintOptions{})
		fill := strings.NewReplacer("$TOKEN", token, "$EXPIRED", expired).Replace
		r := newRequest(t.Context(), http.MethodPost, "/token/revoke", fill(body),
			apiKeyHeader, key, "Authorization", fill(authorization),
			consistencyHeader, level, consistencyTimeoutHeader, timeout)
		w := serve(s, r)
		switch w.Code {
		case http.StatusNoContent:
			wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
		case http.StatusBadRequest, http.StatusUnauthorized:
			wantRevoked(t, s, token)
		default:
			t.Fatalf("undocumented status %d", w.Code)
		}
		wantStatus(t, w, w.Code)
		// The parts of a JWT are as private as the whole.
		for part := range strings.SplitSeq(token, ".") {
			if strings.Contains(fmt.Sprint(w.Body, w.Header()), part) {
				t.Errorf("the answer quotes the token: %v %s", w.Header(), w.Body)
			}
		}
	})
}

func BenchmarkRevoke(b *testing.B) {
	for _, level := range []string{localRegion, allRegions} {
		b.Run(fmt.Sprint("level=", level), func(b *testing.B) {
			s := newSandbox(b, Config{})
			for b.Loop() {
				b.StopTimer()
				r := revokeRequest(b.Context(), mint(b, s, MintOptions{}), consistencyHeader, level)
				b.StartTimer()
				if w := serve(s, r); w.Code != http.StatusNoContent {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
