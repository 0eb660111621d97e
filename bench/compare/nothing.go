package main

import (
	"context"

	"google.golang.org/grpc"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// nothing is a service that answers without any work: what grpc-go itself costs.
type nothing struct {
	quashv1.UnimplementedTokenServiceServer
}

// Revoke says that the token is dead.
func (nothing) Revoke(context.Context, *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
}

func serveNothing(ctx context.Context, _ childConfig, say func(addrs)) error {
	return serveGRPC(ctx, nothing{}, say)
}

// serveGRPC serves the service alone, as grpc-go does by default.
func serveGRPC(ctx context.Context, service quashv1.TokenServiceServer, say func(addrs)) error {
	l, err := listen(ctx)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	quashv1.RegisterTokenServiceServer(server, service)
	defer context.AfterFunc(ctx, server.Stop)()
	say(addrs{GRPC: l.Addr().String()})
	return server.Serve(l)
}
