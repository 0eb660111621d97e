package main

import "context"

// contender is something that does the work, or a part of it.
type contender struct {
	name string
	door door
	// start runs it in front of an upstream.
	start func(ctx context.Context, s *setup, u *upstream) (*process, error)
	// alone is one that calls no upstream.
	alone bool
}

const (
	nothingName  = "grpc-go doing nothing"
	textbookName = "textbook façade"
	proxyName    = "httputil.ReverseProxy"
	nginxName    = "nginx"
	quashName    = "quash"
	baselineName = "quash (baseline)"
)

// The doors of REST that a quash has, by the names of their rows.
func nativeOf(quash string) string { return quash + ", native" }
func dropInOf(quash string) string { return quash + ", drop-in" }

// contenders are all that there are here.
func (s *setup) contenders() []contender {
	overGRPC := []contender{
		{name: nothingName, door: doorGRPC, start: startChild("nothing"), alone: true},
		{name: textbookName, door: doorGRPC, start: startChild("textbook")},
	}
	overREST := []contender{{name: proxyName, door: doorDropIn, start: startChild("proxy")}}
	if s.nginx != "" {
		overREST = append(overREST, contender{name: nginxName, door: doorDropIn, start: startNginx})
	}
	for _, b := range s.quash {
		start := func(ctx context.Context, s *setup, u *upstream) (*process, error) { return s.startQuash(ctx, b, u) }
		overGRPC = append(overGRPC, contender{name: b.name, door: doorGRPC, start: start})
		overREST = append(overREST,
			contender{name: nativeOf(b.name), door: doorNative, start: start},
			contender{name: dropInOf(b.name), door: doorDropIn, start: start})
	}
	return append(overGRPC, overREST...)
}

// startChild starts one that is this binary.
func startChild(name string) func(ctx context.Context, s *setup, u *upstream) (*process, error) {
	return func(ctx context.Context, s *setup, u *upstream) (*process, error) {
		return start(ctx, s.child(name, "-upstream", u.url, "-ca", s.certFile))
	}
}
