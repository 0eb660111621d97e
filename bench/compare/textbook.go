package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quashdev/quash/bench/calls"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// textbook is a minimal façade: grpc-go, net/http, encoding/json and the right codes, without
// any of quash's features.
var textbook = &contender{
	name:       "textbook façade",
	transports: []calls.Transport{calls.GRPC},
	targets: []costTarget{
		{calls.GRPC, calls.GRPC, http1, 1.35, 1},
		{calls.GRPC, calls.GRPC, http2, 1.2, 1},
	},
	serve: func(ctx context.Context, to target, listener, _ net.Listener) error {
		return serveGRPC(ctx, &textbookService{url: to.url + calls.DropInPath, client: &http.Client{Transport: to.transport}}, listener)
	},
}

type textbookService struct {
	quashv1.UnimplementedTokenServiceServer

	url    string
	client *http.Client
}

// Revoke makes one request per call.
func (t *textbookService) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	body, err := json.Marshal(struct {
		Token string `json:"token"`
	}{req.GetToken()})
	if err != nil {
		return nil, status.Error(codes.Internal, "the request cannot be written")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return nil, status.Error(codes.Internal, "the request cannot be made")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Slashid-Api-Key", apiKey)
	consistency := quashv1.Consistency_CONSISTENCY_LOCAL_REGION
	if req.GetConsistency() == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
		consistency = req.GetConsistency()
		r.Header.Set("Slashid-Required-Consistency", "all_regions")
	}
	if timeout := req.GetTimeout(); timeout != nil {
		r.Header.Set("Slashid-Required-Consistency-Timeout", strconv.FormatInt(timeout.GetSeconds(), 10))
	}
	resp, err := t.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return nil, status.Error(codes.Unavailable, "SlashID cannot be reached")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be reused
	switch resp.StatusCode {
	case http.StatusNoContent:
		return &quashv1.RevokeResponse{
			Outcome:       quashv1.Outcome_OUTCOME_REVOKED,
			Consistency:   consistency,
			CorrelationId: resp.Header.Get("Slashid-Correlation-Id"),
		}, nil
	case http.StatusBadRequest:
		return nil, status.Error(codes.InvalidArgument, "SlashID rejected the token")
	case http.StatusRequestTimeout:
		return nil, status.Error(codes.DeadlineExceeded, "the consistency was not reached in time")
	default:
		return nil, status.Error(codes.Unavailable, "SlashID answered "+resp.Status)
	}
}
