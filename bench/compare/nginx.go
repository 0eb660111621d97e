package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// nginxConfig is that of a plain proxy that keeps its connections. Of HTTP/2 to an
// upstream Debian's nginx knows nothing: over TLS it speaks HTTP/1.1.
const nginxConfig = `
daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log /dev/null crit;
events { worker_connections 16384; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream slashid {
		server %[3]s;
		keepalive 1024;
		keepalive_requests 1000000000;
	}
	server {
		listen %[2]s;
		keepalive_requests 1000000000;
		location / {
			proxy_pass %[4]s://slashid;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_ssl_protocols TLSv1.2 TLSv1.3;
			proxy_ssl_verify on;
			proxy_ssl_trusted_certificate %[5]s;
			proxy_ssl_name %[6]s;
		}
	}
}
`

// startNginx starts nginx with a listener that is there already, as it hands one to
// another of itself when it is upgraded. So nothing needs to be awaited.
func startNginx(ctx context.Context, s *setup, u *upstream) (*process, error) {
	listener, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	defer listener.Close()                                   // nginx has its own
	inherited, err := duplicate(listener.(*net.TCPListener)) //nolint:forcetypeassert // as made
	if err != nil {
		return nil, err
	}
	defer inherited.Close()
	to, err := url.Parse(u.url)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(s.tmp, "nginx-")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	config := fmt.Sprintf(strings.TrimSpace(nginxConfig), folder, addr, to.Host, to.Scheme, s.certFile, upstreamName)
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.nginx, "-p", folder, "-c", path, "-e", "/dev/null") //nolint:gosec,noctx // launch binds it to a context
	const first = 3                                                           // after those of standard input, output and errors
	cmd.Env = []string{fmt.Sprintf("NGINX=%d;", first)}
	cmd.ExtraFiles = []*os.File{inherited}
	p, err := launch(ctx, cmd)
	if err != nil {
		return nil, err
	}
	p.HTTP = addr
	return p, nil
}

// duplicate returns another descriptor of l, which does not block: nginx takes it as it
// is, and a worker of its would wait for a connection that another has accepted. With the
// listener's own File method it would.
func duplicate(l *net.TCPListener) (*os.File, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var descriptor int
	var failure error
	err = raw.Control(func(fd uintptr) { descriptor, failure = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failure); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(descriptor), "listener"), nil
}
