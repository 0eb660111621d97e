package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

// manyHeaders is every header that one can think of: what proxies add, what
// browsers and gRPC clients send, credentials of all kinds, and the names of
// SlashID's with small differences.
var manyHeaders = []string{
	"Accept", "Accept-Charset", "Accept-Language", "A-Im", "Access-Control-Request-Headers", "Access-Control-Request-Method",
	"Alt-Used", "B3", "Baggage", "Cache-Control", "Cf-Connecting-Ip", "Client-Ip", "Cookie", "Cookie2", "Date", "Dnt", "Early-Data",
	"Forwarded", "From", "Front-End-Https", "Grpc-Metadata-Authorization", "Grpc-Metadata-Slashid-Api-Key", "Grpc-Previous-Rpc-Attempts",
	"Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Last-Event-Id",
	"Max-Forwards", "Origin", "Pragma", "Prefer", "Priority", "Proxy-Authorization", "Range", "Referer",
	"Sec-Ch-Ua", "Sec-Fetch-Mode", "Sec-Gpc", "Slashid-Api-Keys", "Slashid-Apikey", "Slashid-Correlation-Id", "Slashid-Org-Id",
	"Slashid-Required", "Slashid-Required-Consistency-Timeouts", "Slashid-Sdk-Version", "Slashid-Token", "Slashid_api_key", "Traceparent",
	"Tracestate", "True-Client-Ip", "Uber-Trace-Id", "User-Agent", "Via", "Warning", "Www-Authenticate", "X-Amzn-Trace-Id",
	"X-Api-Key", "X-Auth-Token", "X-B3-Traceid", "X-Client-Cert", "X-Cloud-Trace-Context", "X-Correlation-Id", "X-Csrf-Token",
	"X-Envoy-Retry-On", "X-Forwarded-Client-Cert", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Http-Method-Override",
	"X-Original-Url", "X-Real-Ip", "X-Request-Id", "X-Requested-With", "X-Rewrite-Url", "X-Slashid-Api-Key", "X-Ssl-Client-Cert",
}

// Of all that callers send nothing reaches SlashID but what is its contract's, and
// of their credentials nothing while quash has a key of its own.
func TestNothingElseReachesUpstream(t *testing.T) {
	t.Parallel()
	ours := []string{"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "User-Agent"}
	contract := []string{"Slashid-Required-Consistency", "Slashid-Required-Consistency-Timeout", "Slashid-Sdkversion"}
	for name, tt := range map[string]struct {
		forward bool
		want    []string
	}{
		"with a key of its own": {false, slices.Concat(ours, contract, []string{"Slashid-Api-Key"})},
		"without one":           {true, slices.Concat(ours, contract, []string{"Slashid-Api-Key", "Slashid-Orgid", "Authorization"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received := make(chan http.Header, 1)
			url := serveUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				received <- r.Header
				w.WriteHeader(http.StatusNoContent)
			}))
			f := startFacade(t, newUpstream(t, url), func(svc *service.Config, _ *server.Config) {
				if tt.forward {
					svc.APIKey = nil
				}
			})
			header := http.Header{
				"Content-Type":                         {"application/json"},
				"Slashid-Required-Consistency":         {"all_regions"},
				"Slashid-Required-Consistency-Timeout": {"9"},
				"Slashid-Sdkversion":                   {"1.4.1"},
				"Slashid-Api-Key":                      {"of-the-caller"},
				"Slashid-Orgid":                        {"of-the-caller"},
				"Authorization":                        {"Bearer of-the-caller"},
			}
			for _, name := range manyHeaders {
				header.Set(name, "of-the-caller")
			}
			for _, path := range []string{nativePath, dropInPath} {
				if resp, body := f.post(t, path, header, []byte(`{"token":"a.b.c"}`)); resp.StatusCode/100 != 2 {
					t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
				}
				checkReceived(t, path, <-received, tt.want, tt.forward)
			}
			md := metadata.MD{}
			for name, values := range header {
				switch name {
				case "Content-Type", "User-Agent", "Grpc-Previous-Rpc-Attempts": // gRPC's own
				default:
					md.Set(strings.ToLower(name), values...)
				}
			}
			ctx := metadata.NewOutgoingContext(t.Context(), md)
			if _, err := f.grpc.Revoke(ctx, &quashv1.RevokeRequest{Token: "a.b.c"}); err != nil {
				t.Fatal(err)
			}
			checkReceived(t, "gRPC", <-received, tt.want, tt.forward)
		})
	}
}

func checkReceived(t *testing.T, door string, got http.Header, want []string, forwarded bool) {
	t.Helper()
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("%s: upstream got %q, want %q", door, names, want)
	}
	for name, values := range got {
		theirs := strings.Contains(strings.Join(values, " "), "of-the-caller")
		credential := slices.Contains([]string{"Slashid-Api-Key", "Slashid-Orgid", "Authorization"}, name)
		if theirs != (forwarded && credential) {
			t.Errorf("%s: upstream got %s: %q", door, name, values)
		}
	}
}
