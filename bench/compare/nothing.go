package compare

import (
	"context"
	"net"

	"google.golang.org/grpc"

	"github.com/quashdev/quash/bench/calls"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// nothing is a service with an empty handler. It measures the cost of grpc-go itself.
var nothing = &contender{
	name:       "grpc-go doing nothing",
	transports: []calls.Transport{calls.GRPC},
	alone:      true,
	serve: func(ctx context.Context, _ target, listener, _ net.Listener) error {
		return serveGRPC(ctx, emptyService{}, listener)
	},
}

type emptyService struct {
	quashv1.UnimplementedTokenServiceServer
}

// Revoke answers that the token is revoked.
func (emptyService) Revoke(context.Context, *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
}

// serveGRPC serves with grpc-go's defaults.
func serveGRPC(ctx context.Context, service quashv1.TokenServiceServer, listener net.Listener) error {
	server := grpc.NewServer()
	quashv1.RegisterTokenServiceServer(server, service)
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(listener)
}
