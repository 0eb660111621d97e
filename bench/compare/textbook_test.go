package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// It would be no comparison if it did not do the work.
func TestTextbook(t *testing.T) {
	t.Parallel()
	for answer, want := range map[int]codes.Code{
		http.StatusNoContent:           codes.OK,
		http.StatusBadRequest:          codes.InvalidArgument,
		http.StatusRequestTimeout:      codes.DeadlineExceeded,
		http.StatusInternalServerError: codes.Unavailable,
		http.StatusOK:                  codes.Unavailable,
	} {
		slashid := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			h := r.Header
			if string(body) != `{"token":"a.b.c"}` || h.Get("Slashid-Api-Key") != apiKey || h.Get("Content-Type") != "application/json" ||
				h.Get("Slashid-Required-Consistency") != "all_regions" || h.Get("Slashid-Required-Consistency-Timeout") != "7" {
				t.Errorf("SlashID is asked %q with %v", body, h)
			}
			w.Header().Set("Slashid-Correlation-Id", "id")
			w.WriteHeader(answer)
		}))
		defer slashid.Close()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		resp, err := (&textbook{url: slashid.URL + dropInPath, client: &http.Client{Transport: transport}}).Revoke(t.Context(),
			&quashv1.RevokeRequest{Token: "a.b.c", Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS, Timeout: durationpb.New(7 * time.Second)})
		if status.Code(err) != want {
			t.Errorf("of %d it makes %v, want %s", answer, err, want)
		}
		if err == nil && (resp.GetOutcome() != quashv1.Outcome_OUTCOME_REVOKED || resp.GetCorrelationId() != "id") {
			t.Errorf("it answers %v", resp)
		}
	}
}

func TestTextbookWithoutUpstream(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	service := &textbook{url: gone.URL, client: &http.Client{Transport: &http.Transport{}}}
	if _, err := service.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a.b.c"}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := service.Revoke(cancelled, &quashv1.RevokeRequest{Token: "a.b.c"}); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
}
