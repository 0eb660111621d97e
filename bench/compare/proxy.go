package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// serveProxy is httputil.ReverseProxy.
func serveProxy(ctx context.Context, c childConfig, say func(addrs)) error {
	to, err := url.Parse(c.upstream)
	if err != nil {
		return err
	}
	transport, err := c.newTransport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	l, err := listen(ctx)
	if err != nil {
		return err
	}
	say(addrs{HTTP: l.Addr().String()})
	return serveHTTP(ctx, &http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
			Transport: transport,
		},
	}, l)
}
