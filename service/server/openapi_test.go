package server

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
)

const openAPIFile = "openapi.json"

// headerCorrelationID is as SlashID writes it.
const headerCorrelationID = "slashid-correlation-id"

type protoName = protoreflect.FullName

// openapi.json is written from what the doors answer by: the messages and the rules in
// the protos, the outcome table, the doors' own statuses and headers. The examples are
// what the doors write.
func TestOpenAPIDoc(t *testing.T) {
	t.Parallel()
	want := renderOpenAPI(t)
	if *update {
		if err := os.WriteFile(openAPIFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(openAPI, want) {
		t.Errorf("service/server/%s is stale; make docs writes it anew", openAPIFile)
	}
}

func renderOpenAPI(t *testing.T) []byte {
	t.Helper()
	comments := readComments(t)
	var reasons []string
	for number := range slices.Sorted(maps.Keys(quashv1.ErrorReason_name)) {
		reason := strings.TrimPrefix(quashv1.ErrorReason(number).String(), "ERROR_REASON_")
		if number != 0 && !slices.Contains(notOverREST, reason) {
			reasons = append(reasons, reason)
		}
	}
	native, dropIn := newNative(), newDropIn()
	native.limits, dropIn.limits = DefaultLimits, DefaultLimits
	document := object{
		{"openapi", "3.1.0"},
		{"info", object{
			{"title", "quash"},
			{"version", "v1"},
			{"summary", "Revokes SlashID user tokens, and tells the truth about what became of them."},
			{"description", introduction},
			{"license", object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}},
		}},
		{"servers", []object{{{"url", "/"}, {"description", "The quash that served this document."}}}},
		{"security", []object{{}, {{"SlashIDAPIKey", []string{}}}, {{"SlashIDBearer", []string{}}}}},
		{"tags", []object{{{"name", "TokenService"}, {"description", comments.of("quash.v1.TokenService")}}}},
		{"paths", object{
			{native.path, object{{"post", object{
				{"tags", []string{"TokenService"}},
				{"operationId", "revoke"},
				{"summary", "Revoke a token, in quash's own form"},
				{"description", comments.of("quash.v1.TokenService.Revoke")},
				{"parameters", parameters(t)},
				{"requestBody", requestBodyOf("RevokeRequest", "")},
				{"responses", responses(t, native, successes(t, native, http.StatusOK), comments)},
			}}}},
			{dropIn.path, object{{"post", object{
				{"tags", []string{"TokenService"}},
				{"operationId", "revokeBySlashIDContract"},
				{"summary", "Revoke a token, in SlashID's form"},
				{"description", dropInDescription},
				{"parameters", parameters(t)},
				{"requestBody", requestBodyOf("SlashIDRequest", "Read as JSON whatever its Content-Type says.")},
				{"responses", responses(t, dropIn, successes(t, dropIn, http.StatusNoContent), comments)},
			}}}},
		}},
		{"components", object{
			{"schemas", schemas{comments, reasons, service.ErrorDomain}.all()},
			{"parameters", headerParameters()},
			{"headers", object{
				{"CorrelationID", object{
					{"description", "SlashID's id for the request; its support asks for it. There whenever SlashID named the request."},
					{"schema", object{{"type", "string"}}},
				}},
				{"RetryAfter", object{
					{"description", "How many seconds to wait before the call is repeated. There when repeating it can help."},
					{"schema", object{{"type", "integer"}, {"minimum", 0}}},
				}},
			}},
			{"responses", object{{"HeaderTooLarge", object{
				{"description", "The header is larger than --max-header-bytes. Nothing of the request was read."},
				{"content", object{
					{"text/plain", object{{"schema", object{{"type", "string"}}}}},
					{"text/html", object{{"schema", object{{"type", "string"}}}}},
				}},
			}}}},
			{"securitySchemes", object{
				{"SlashIDAPIKey", object{
					{"type", "apiKey"},
					{"in", "header"},
					{"name", "SlashID-API-Key"},
					{"description", "The organisation's API key. " + forwarded},
				}},
				{"SlashIDBearer", object{
					{"type", "http"},
					{"scheme", "bearer"},
					{"description", "A user's own token, as SlashID's browser SDK sends it. " + forwarded},
				}},
			}},
		}},
	}
	data, err := plainJSON(document)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	return indented.Bytes()
}

const forwarded = "Forwarded to SlashID, unless quash has an API key of its own: then it is not read."

const introduction = `After every answer the caller knows whether the token is dead: a success says what made it so, and each error has a reason and a state.

- ` + "`NOT_APPLIED`" + `: This call did nothing to the token.
- ` + "`IN_PROGRESS`" + `: It will be dead everywhere, for SlashID has accepted the revocation.
- ` + "`UNKNOWN`" + `: Nobody can say. With ` + "`allowInvalid`" + ` a repetition succeeds either way.

The state is that of the whole call: where an earlier attempt of it may have been applied, ` + "`NOT_APPLIED`" + ` becomes ` + "`UNKNOWN`" + `; where nothing at all was sent, ` + "`UNKNOWN`" + ` becomes ` + "`NOT_APPLIED`" + `.

Both routes are the same call in two forms. A header and a member of the body that mean the same must agree. In an answer, members that have nothing to say are left out.

Other methods than POST are answered with 405 in the form of the route, other paths with 404 in the native form, both with the reason ` + "`INVALID_REQUEST`" + `. What is not HTTP is answered in plain text.

Who may call is decided by client certificates, where quash asks for them. The credentials below are for SlashID.`

const dropInDescription = `SlashID's own contract, for clients that only change their base URL: the token in the body, consistency and timeout in headers, 204 for success, errors in SlashID's envelope.

What the envelope has no room for is in the headers ` + "`Quash-Error-Reason`" + ` and ` + "`Quash-Revocation-State`" + `. A 408 is always SlashID's word that the revocation goes on and will be completed; a deadline of quash's own is 503.`

func requestBodyOf(schema, description string) object {
	body := object{
		{"required", true},
		{"content", object{{jsonType, object{{"schema", ref("schemas", schema)}}}}},
	}
	if description != "" {
		body = append(body, member{"description", description})
	}
	return body
}

// headerParameters are the request headers that mean something, but for those of the
// security schemes.
func headerParameters() object {
	parameter := func(name, description string, schema object) object {
		return object{{"name", name}, {"in", "header"}, {"description", description}, {"schema", schema}}
	}
	return object{
		{"RequiredConsistency", parameter("SlashID-Required-Consistency", "How far the revocation must have spread before the call succeeds.", object{
			{"type", "string"},
			{"enum", []slashid.Consistency{slashid.LocalRegion, slashid.AllRegions}},
			{"default", slashid.LocalRegion},
		})},
		{"RequiredConsistencyTimeout", parameter("SlashID-Required-Consistency-Timeout", "The most time to wait for that, in seconds.", object{
			{"type", "integer"},
			{"minimum", service.MinTimeout / time.Second},
			{"maximum", service.MaxTimeout / time.Second},
			{"default", service.DefaultTimeout / time.Second},
		})},
		{"SdkVersion", parameter("SlashID-SdkVersion", "The version of the calling SDK, for SlashID.", object{
			{"type", "string"}, {"pattern", "^[ -~]*$"}, {"maxLength", 64}, {"examples", []string{"1.4.1"}},
		})},
		{"OrgID", parameter("SlashID-OrgID", "The organisation's id. "+forwarded, object{{"type", "string"}, {"pattern", "^[ -~]*$"}})},
		{"Traceparent", parameter("traceparent", "W3C's trace context, which goes on to SlashID.", object{
			{"type", "string"}, {"examples", []string{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
		})},
	}
}

// parameters are references to all of them. Together with the security schemes they
// must be what REST forwards.
func parameters(t *testing.T) (refs []object) {
	t.Helper()
	names := []string{slashid.HeaderAPIKey, slashid.HeaderAuthorization}
	for _, m := range headerParameters() {
		refs = append(refs, ref("parameters", m.name))
		name, _ := m.value.(object)[0].value.(string)
		names = append(names, http.CanonicalHeaderKey(name))
	}
	slices.Sort(names)
	if want := slices.Sorted(slices.Values(forwardedHeaders)); !slices.Equal(names, want) {
		t.Errorf("the headers of the document are %q, those that mean something are %q", names, want)
	}
	return refs
}

// What the document says of statuses is what outcomes.md says of them.
func TestOpenAPINamesEveryOutcome(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]struct {
			Post struct {
				Responses map[string]struct {
					Description string `json:"description"`
				} `json:"responses"`
			} `json:"post"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*door{newNative(), newDropIn()} {
		for _, doc := range service.OutcomeDocs() {
			if doc.Error == nil || slices.Contains(notOverREST, doc.Error.Reason()) {
				continue
			}
			httpStatus := strconv.Itoa(d.statusOf(doc.Error.GRPCStatus()))
			if got := document.Paths[d.path].Post.Responses[httpStatus].Description; !strings.Contains(got, doc.Error.Reason()) {
				t.Errorf("%s: its %s does not tell of %s", d.path, httpStatus, doc.Error.Reason())
			}
		}
	}
}
