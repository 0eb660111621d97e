package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

type healthcheckCmd struct {
	AdminAddr string        `name:"admin-addr" default:"127.0.0.1:9091" help:"Address of the admin listener to check, host:port: the server's --admin-addr."`
	CertFile  fileName      `name:"tls-cert-file" placeholder:"FILE" help:"The server's --tls-cert-file. If it is set and the address is not loopback, the check uses TLS."`
	Timeout   time.Duration `default:"3s" env:"-" help:"Maximum time to wait for the answer, at least 1ms."`
}

// onThisMachine does not verify the certificate: the address is local, it is usually not a name
// in the certificate, and the request contains no secret.
var onThisMachine = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
}}

// Run checks the readiness once.
func (c *healthcheckCmd) Run(ctx context.Context) error {
	var wrong usageError
	if err := checkAddr(c.AdminAddr); err != nil {
		wrong.addf("--admin-addr %q: %s", c.AdminAddr, err)
	}
	checkAtLeast(&wrong, "--timeout", c.Timeout, time.Millisecond)
	if err := wrong.err(); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.AdminAddr)
	if err != nil {
		return fmt.Errorf("read --admin-addr: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // bound to every interface, this one included
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	scheme, client := "http", http.DefaultClient
	if c.CertFile != "" && !isLoopback(c.AdminAddr) {
		scheme, client = "https", onThisMachine
	}
	url := scheme + "://" + net.JoinHostPort(host, port) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("build the request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach quash: %w", errors.Unwrap(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answered %s", url, resp.Status)
	}
	return nil
}
