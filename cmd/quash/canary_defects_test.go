package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// defective is a command like quash serve, but that its service panics, with values
// made of the request, or takes no more calls: as there is no way to have quash itself
// do that.
func defective() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := serveDefective(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveDefective(ctx context.Context) error {
	f := serverFlags{LogLevel: slog.LevelDebug, LogFormat: logJSON}
	logger := f.logger(os.Stderr)
	withholdForeignLogs(logger)
	svc, err := service.New(service.Config{Upstream: defectiveUpstream{}, Logger: logger})
	if err != nil {
		return err
	}
	drained, err := service.New(service.Config{Upstream: defectiveUpstream{}, Logger: logger})
	if err != nil {
		return err
	}
	drained.Drain()
	const free = "127.0.0.1:0"
	s, err := server.New(ctx, server.Config{
		Service: defectiveService{svc, drained}, GRPCAddr: free, HTTPAddr: free, AdminAddr: free,
		DrainTimeout: time.Minute, Logger: logger, LogLevel: f.level,
	})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// defects are the ways to panic, by what a call gives for the version of its SDK.
var defects = map[string]func(*quashv1.RevokeRequest){
	"a string": func(req *quashv1.RevokeRequest) { panic("no way to revoke " + req.GetToken()) },
	"an error": func(req *quashv1.RevokeRequest) { panic(fmt.Errorf("no way to revoke %s", req.GetToken())) },
	"several errors": func(req *quashv1.RevokeRequest) {
		panic(errors.Join(errors.New(req.GetToken()), errors.New("and more")))
	},
	"the request": func(req *quashv1.RevokeRequest) { panic(req) },
	"bytes":       func(req *quashv1.RevokeRequest) { panic([]byte(req.GetToken())) },
	"a nil map": func(req *quashv1.RevokeRequest) {
		var m map[string]int
		func() { m[req.GetToken()]++ }()
	},
	"an index": func(req *quashv1.RevokeRequest) { _ = []byte(req.GetToken())[len(req.GetToken()):][0] },
	"a type":   func(req *quashv1.RevokeRequest) { _ = any(req.GetToken()).(fmt.Stringer) },
	"a key":    func(req *quashv1.RevokeRequest) { _ = map[any]int{}[[]any{req.GetToken()}] },
	"panics in turn": func(req *quashv1.RevokeRequest) {
		defer func() { panic(req.GetToken()) }()
		panic("1 " + req.GetToken())
	},
}

// drainedScene is for calls of the service that takes none.
const drainedScene = "drained"

type defectiveService struct {
	*service.TokenService

	drained *service.TokenService
}

func (s defectiveService) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, version := range md.Get("slashid-sdkversion") {
		if strings.HasPrefix(version, drainedScene) {
			return s.drained.Revoke(ctx, req)
		}
		for name, defect := range defects {
			if len(version) >= len(name) && version[:len(name)] == name {
				defect(req)
			}
		}
	}
	return s.TokenService.Revoke(ctx, req)
}

// defectiveUpstream panics while it asks SlashID.
type defectiveUpstream struct{}

// Revoke implements service.Upstream.
func (defectiveUpstream) Revoke(_ context.Context, req slashid.Request) slashid.Result {
	req.BeforeSend()
	panic(fmt.Errorf("no way to send %s with %s", req.Token.Reveal(), req.Credentials.APIKey.Reveal()))
}
