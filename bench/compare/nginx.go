package compare

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/internal/proctest"
)

// nginx is a plain proxy that keeps its connections, with one worker per core. Debian's nginx
// does not support HTTP/2 to an upstream: over TLS it uses HTTP/1.1.
var nginx = &contender{
	name:       "nginx",
	transports: []calls.Transport{calls.DropIn},
	start: func(ctx context.Context, e *env, upstreamURL string) (*server, error) {
		scheme, addr, _ := strings.Cut(upstreamURL, "://")
		return startNginx(ctx, e, fmt.Sprintf(`
			upstream slashid {
				server %s;
				keepalive 1024;
				keepalive_requests 1000000000;
			}
			server {
				listen ADDR;
				keepalive_requests 1000000000;
				location / {
					proxy_pass %s://slashid;
					proxy_http_version 1.1;
					proxy_set_header Connection "";
					proxy_ssl_protocols TLSv1.2 TLSv1.3;
					proxy_ssl_verify on;
					proxy_ssl_trusted_certificate %s;
					proxy_ssl_name localhost;
				}
			}`, addr, scheme, e.certFile))
	},
}

// startStockNginx starts nginx with its defaults, terminating TLS and HTTP/2 in front of a
// plaintext upstream. By default it closes a connection after 1,000 requests.
func startStockNginx(ctx context.Context, e *env, upstreamAddr string) (*server, error) {
	return startNginx(ctx, e, fmt.Sprintf(`
		server {
			listen ADDR ssl http2;
			ssl_certificate %s;
			ssl_certificate_key %s;
			location / { proxy_pass http://%s; }
		}`, e.certFile, e.keyFile, upstreamAddr))
}

// startNginx starts nginx with the given content of its http block and waits until it accepts
// connections. It replaces ADDR in config by the address of nginx.
func startNginx(ctx context.Context, e *env, config string) (*server, error) {
	dir, err := os.MkdirTemp(e.tmp, "nginx-")
	if err != nil {
		return nil, err
	}
	free, err := listen()
	if err != nil {
		return nil, err
	}
	addr := free.Addr().String()
	_ = free.Close()
	var folders strings.Builder
	for _, module := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&folders, "%s_temp_path %s/%s; ", module, dir, module)
	}
	config = fmt.Sprintf("daemon off; worker_processes auto; pid %s/pid; error_log /dev/null crit; "+
		"events { worker_connections 16384; }\nhttp { access_log off; %s%s }\n",
		dir, folders.String(), strings.ReplaceAll(config, "ADDR", addr))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(e.nginx, "-p", dir, "-c", path, "-e", "/dev/null") //nolint:gosec,noctx // found in PATH; stop ends it
	p, err := proctest.Start(cmd)
	if err != nil {
		return nil, err
	}
	stop := func() { _ = p.Stop() } // killing it would leave its workers running
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for { // until it accepts connections
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return &server{Process: p, Addrs: proctest.Addrs{HTTP: addr}, stop: stop}, nil
		}
		select {
		case <-look.C:
		case <-p.Done():
			return nil, fmt.Errorf("nginx exited: %s", p)
		case <-ctx.Done():
			stop()
			return nil, ctx.Err()
		}
	}
}
