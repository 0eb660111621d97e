package compare

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/quashdev/quash/bench/calls"
)

// reverseProxy is httputil.ReverseProxy with a transport that keeps its connections.
var reverseProxy = &contender{
	name:       "httputil.ReverseProxy",
	transports: []calls.Transport{calls.DropIn},
	targets: []costTarget{
		{calls.Native, calls.DropIn, http1, 1.05, 0.9},
		{calls.Native, calls.DropIn, http2, 1.05, 0.9},
		{calls.DropIn, calls.DropIn, http1, 1.05, 0.9},
		{calls.DropIn, calls.DropIn, http2, 1.05, 0.9},
	},
	serve: func(ctx context.Context, to target, _, listener net.Listener) error {
		upstream, err := url.Parse(to.url)
		if err != nil {
			return err
		}
		server := &http.Server{
			ReadHeaderTimeout: time.Minute,
			ErrorLog:          log.New(io.Discard, "", 0),
			Handler: &httputil.ReverseProxy{
				Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
				Transport: to.transport,
			},
		}
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		return server.Serve(listener)
	},
}
