package slashid

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The test compares all headers, because a header that is not listed must not be sent.
func TestRevokeSendsSlashIDsRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		req  Request
		want http.Header // in addition to the headers of every request
	}{
		"no more than needed": {
			Request{Token: NewSecret(token), Consistency: LocalRegion, Timeout: 30 * time.Second},
			http.Header{
				"Slashid-Required-Consistency":         {"local_region"},
				"Slashid-Required-Consistency-Timeout": {"30"},
			},
		},
		"everything": {
			Request{
				Token:       NewSecret(token),
				Consistency: AllRegions,
				Timeout:     2*time.Minute - 1,
				SDKVersion:  "1.4.1",
				Credentials: Credentials{
					APIKey:        NewSecret("the-api-key"),
					Authorization: NewSecret("Bearer the-user-token"),
					OrgID:         "the-organisation",
				},
				NewConnection: true,
			},
			http.Header{
				"Authorization":                        {"Bearer the-user-token"},
				"Slashid-Api-Key":                      {"the-api-key"},
				"Slashid-Orgid":                        {"the-organisation"},
				"Slashid-Required-Consistency":         {"all_regions"},
				"Slashid-Required-Consistency-Timeout": {"119"},
				"Slashid-Sdkversion":                   {"1.4.1"},
			},
		},
	} {
		for key, value := range map[string]string{
			"Accept": "application/json", "Accept-Encoding": "identity", "Content-Length": "80",
			"Content-Type": "application/json", "User-Agent": "quash",
		} {
			tt.want.Set(key, value)
		}
		for _, protocol := range append(protocols, "") {
			t.Run(name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				type sent struct {
					Method, Host, URI, Body string
					Header                  http.Header
				}
				var got sent
				server := startServer(t, protocol, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					got = sent{r.Method, r.Host, r.RequestURI, string(body), r.Header}
					w.WriteHeader(http.StatusNoContent)
				})
				checkRevoked(t, revoke(t, newClient(t, server.URL), tt.req))
				want := sent{http.MethodPost, server.Listener.Addr().String(), "/token/revoke", `{"token":"` + token + `"}`, tt.want}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}
