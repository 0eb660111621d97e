package sandbox

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
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
	level := func(values ...string) []string { return headers(consistencyHeader, values) }
	timeout := func(values ...string) []string { return headers(consistencyTimeoutHeader, values) }
	for name, tt := range map[string]struct {
		body   string
		header []string
	}{
		"no body":            {"", nil},
		"malformed JSON":     {`{"token":`, nil},
		"another type":       {`{"token":1}`, nil},
		"no object":          {`"` + token + `"`, nil},
		"trailing JSON":      {tokenBody(token) + "{}", nil},
		"no token":           {`{}`, nil},
		"null":               {`{"token":null}`, nil},
		"malformed token":    {tokenBody(token[1:]), nil},
		"foreign token":      {tokenBody(mint(t, newSandbox(t, Config{}), MintOptions{})), nil},
		"expired token":      {tokenBody(mint(t, s, MintOptions{Lifetime: -time.Second})), nil},
		"revoked token":      {tokenBody(revoked), nil},
		"a body over 64 KiB": {tokenBody(token) + strings.Repeat(" ", maxBody), nil},

		"empty level":      {tokenBody(token), level("")},
		"other case":       {tokenBody(token), level("ALL_REGIONS")},
		"two levels":       {tokenBody(token), level(localRegion, allRegions)},
		"a list of levels": {tokenBody(token), level("local_region, local_region")},
		"empty timeout":    {tokenBody(token), timeout("")},
		"too short":        {tokenBody(token), timeout("0")},
		"too long":         {tokenBody(token), timeout("121")},
		"far too long":     {tokenBody(token), timeout("99999999999999999999")},
		"negative":         {tokenBody(token), timeout("-1")},
		"a fraction":       {tokenBody(token), timeout("1.5")},
		"a unit":           {tokenBody(token), timeout("5s")},
		"two timeouts":     {tokenBody(token), timeout("5", "6")},
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

// headers returns a pair of name and value for each of the values.
func headers(name string, values []string) (pairs []string) {
	for _, v := range values {
		pairs = append(pairs, name, v)
	}
	return pairs
}

func TestConsistencyAndTimeout(t *testing.T) {
	t.Parallel()
	all := []string{consistencyHeader, allRegions}
	for name, tt := range map[string]struct {
		lag    time.Duration // of the slowest region
		header []string
		status int
		after  time.Duration
	}{
		"by default the local region": {time.Hour, nil, http.StatusNoContent, 0},
		"the local region":            {time.Hour, []string{consistencyHeader, localRegion}, http.StatusNoContent, 0},
		"all regions":                 {4 * time.Second, all, http.StatusNoContent, 4 * time.Second},
		"the default timeout":         {time.Hour, all, http.StatusRequestTimeout, 30 * time.Second},
		"the shortest timeout":        {time.Hour, append(all[:2:2], consistencyTimeoutHeader, "1"), http.StatusRequestTimeout, time.Second},
		"the longest timeout":         {time.Hour, append(all[:2:2], consistencyTimeoutHeader, "120"), http.StatusRequestTimeout, 2 * time.Minute},
		"a header given twice":        {time.Hour, append(all[:2:2], consistencyHeader, allRegions), http.StatusRequestTimeout, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSandbox(t, Config{ReplicationLag: time.Second})
				setRegion(t, s, "ap-south", RegionSettings{Lag: tt.lag})
				begun := time.Now()
				wantStatus(t, revoke(t.Context(), s, mint(t, s, MintOptions{}), tt.header...), tt.status)
				if elapsed := time.Since(begun); elapsed != tt.after {
					t.Errorf("answered after %v, want %v", elapsed, tt.after)
				}
			})
		})
	}
}

func TestReplicationContinuesAfterATimeout(t *testing.T) {
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
			t.Errorf("revoked everywhere after %v, want 5s", elapsed)
		}
	})
}

func TestRevocationContinuesAfterADisconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: 5 * time.Second})
		token := mint(t, s, MintOptions{})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		begun := time.Now()
		revoke(ctx, s, token, consistencyHeader, allRegions)
		if elapsed := time.Since(begun); elapsed != time.Second {
			t.Errorf("the call ended after %v, want 1s, when its client disconnects", elapsed)
		}
		if err := s.WaitRevoked(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestContainerAndUserTokenAreRevokedTogether(t *testing.T) {
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

// If the local region applies the revocation at once, one of the concurrent calls gets 204
// and the others 400. While it has not applied it yet, every call joins it and gets 204.
func TestConcurrentRevocationsOfOneToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		partitioned bool
		want        map[int]int // answers by status
	}{
		"at once":  {false, map[int]int{http.StatusNoContent: 1, http.StatusBadRequest: 49}},
		"a second": {true, map[int]int{http.StatusNoContent: 50}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSandbox(t, Config{})
				setRegion(t, s, "us-east", RegionSettings{Partitioned: tt.partitioned})
				token := mint(t, s, MintOptions{})
				time.AfterFunc(time.Second, func() { setRegion(t, s, "us-east", RegionSettings{}) })
				answers := make(chan *httptest.ResponseRecorder)
				for range 50 {
					go func() { answers <- revoke(t.Context(), s, token, consistencyHeader, allRegions) }()
				}
				got := map[int]int{}
				for range 50 {
					w := <-answers
					wantStatus(t, w, w.Code)
					got[w.Code]++
				}
				if !maps.Equal(got, tt.want) || len(s.ledger.accepted()) != 1 {
					t.Errorf("answers by status %v, want %v; %d revocations", got, tt.want, len(s.ledger.accepted()))
				}
				<-time.After(2 * time.Second)
			})
		})
	}
}

func FuzzRevoke(f *testing.F) {
	// $TOKEN and $EXPIRED stand for tokens of the sandbox under test, because each
	// fuzzing worker has its own signing key.
	for _, body := range []string{
		`{"token":"$TOKEN"}`, `{"token":"$EXPIRED"}`, `{"token":"$TOKEN.x"}`, `{"token":"$TOKEN","token":""}`, `"$TOKEN"`,
		`{"token":"a.b.c"}`, `{"token":"eyJhbGciOiJub25lIn0.e30."}`, `{"token":null}`, `[]`, `{`, ``, `{"token":"$TOKEN"} {}`,
		`{"token":["$TOKEN"]}`, `{"$TOKEN":1}`, `{"Token":"$TOKEN"}`, "{\"token\":\"$TOKEN\xff\"}", `{"token":"$TOKEN","x":{"token":"$EXPIRED"}}`,
	} {
		f.Add(body, DefaultAPIKey, "", localRegion, "30")
	}
	f.Add(`{"token":"$TOKEN"}`, "?", "Bearer $TOKEN", allRegions, "1")
	f.Add(`{"token":"$TOKEN"}`, "", "Bearer $EXPIRED", "", "")
	f.Add(`{"token":"$TOKEN"}`, DefaultAPIKey, "Bearer $TOKEN", localRegion, "+30")
	f.Add(`{"token":"$TOKEN"}`, DefaultAPIKey, "", "$TOKEN", "0")

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
		// A part of a JWT is as secret as the whole token.
		for part := range strings.SplitSeq(token, ".") {
			if strings.Contains(fmt.Sprint(w.Body, w.Header()), part) {
				t.Errorf("the answer quotes the token: %v %s", w.Header(), w.Body)
			}
		}
	})
}
