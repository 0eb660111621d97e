package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// answer is one way for a door to answer, as the door itself wrote it.
type answer struct {
	httpStatus int
	// name tells it from the others of its status: the reason and the state, or the
	// outcome of a success.
	name, reason, state string
	when, do            string
	header              http.Header
	body                []byte
}

// notOverREST are the reasons that no REST caller meets: it cannot give a deadline.
var notOverREST = []string{"DEADLINE_TOO_SHORT"}

// failures are the answers of a door to what the outcome table has no success for,
// and to what it refuses by itself.
func failures(t *testing.T, d *door, comments protoComments) []answer {
	t.Helper()
	var all []answer
	for _, doc := range service.OutcomeDocs() {
		if doc.Error == nil || slices.Contains(notOverREST, doc.Error.Reason()) {
			continue
		}
		st := exampleStatus(t, doc, comments)
		all = append(all, d.answerTo(d.statusOf(st), st, atSlashID(doc.When), doc.Do))
	}
	refused := d.unread(errBodyTooLarge)
	all = append(all, d.answerTo(refused.httpStatus, refused.err.GRPCStatus(), "the body is larger than --max-request-bytes", "Mend the request."))
	if d.admit != nil {
		refused = d.admit(httptest.NewRequest(http.MethodPost, d.path, nil))
		all = append(all, d.answerTo(refused.httpStatus, refused.err.GRPCStatus(), "the body is not declared to be JSON", "Mend the request."))
	}
	return all
}

func (d *door) answerTo(httpStatus int, st *status.Status, when, do string) answer {
	w := httptest.NewRecorder()
	d.fail(w, httpStatus, st)
	state := strings.TrimPrefix(detail[*quashv1.RevokeFailure](st).GetState().String(), "REVOCATION_STATE_")
	reason := errorInfo(st).GetReason()
	return answer{
		httpStatus: w.Code, name: reason + "-" + state, reason: reason, state: state, when: when, do: do,
		header: w.Header(), body: w.Body.Bytes(),
	}
}

// atSlashID says whose the status is that a row of the outcome table begins with.
func atSlashID(when string) string {
	if when[0] >= '1' && when[0] <= '5' {
		return "SlashID answered " + when
	}
	return when
}

// exampleStatus is the example in the comment of the error's reason, with what the
// outcome table says of this row.
func exampleStatus(t *testing.T, doc service.OutcomeDoc, comments protoComments) *status.Status {
	t.Helper()
	var example strings.Builder
	for line := range strings.Lines(comments["quash.v1.ERROR_REASON_"+protoName(doc.Error.Reason())]) {
		if strings.HasPrefix(line, "    ") {
			example.WriteString(line)
		}
	}
	st := &statuspb.Status{}
	if err := protojson.Unmarshal([]byte(example.String()), st); err != nil {
		t.Fatalf("the example of %s: %v", doc.Error.Reason(), err)
	}
	row := doc.Error.GRPCStatus()
	st.Code, st.Message = int32(row.Code()), row.Message()
	for i, d := range st.GetDetails() {
		failure := &quashv1.RevokeFailure{}
		if !d.MessageIs(failure) {
			continue
		}
		if err := d.UnmarshalTo(failure); err != nil {
			t.Fatal(err)
		}
		failure.State = detail[*quashv1.RevokeFailure](row).GetState()
		if upstream, err := strconv.Atoi(strings.Fields(doc.When)[0]); err == nil {
			failure.UpstreamStatus = int32(upstream)
		}
		packed, err := anypb.New(failure)
		if err != nil {
			t.Fatal(err)
		}
		st.Details[i] = packed
	}
	return status.FromProto(st)
}

// responses are the responses of a door's operation, by their status.
func responses(t *testing.T, d *door, success answers, comments protoComments) object {
	t.Helper()
	byStatus := map[int]answers{}
	for _, a := range append(success, failures(t, d, comments)...) {
		byStatus[a.httpStatus] = append(byStatus[a.httpStatus], a)
	}
	var all object
	for _, httpStatus := range slices.Sorted(maps.Keys(byStatus)) {
		all = append(all, member{strconv.Itoa(httpStatus), byStatus[httpStatus].response(t, d.schema())})
	}
	return append(all, member{"431", ref("responses", "HeaderTooLarge")})
}

// schema is the name of the schema of the door's errors.
func (d *door) schema() string {
	if d.path == nativePath {
		return "Status"
	}
	return "SlashIDEnvelope"
}

type answers []answer

// response describes the answers of one status.
func (all answers) response(t *testing.T, failureSchema string) object {
	t.Helper()
	var description strings.Builder
	var examples, headers object
	for _, a := range all {
		fmt.Fprintf(&description, "- `%s`: %s. %s\n", strings.ReplaceAll(a.name, "-", "`, `"), a.when, a.do)
		if len(a.body) > 0 && !slices.ContainsFunc(examples, func(m member) bool { return m.name == a.name }) {
			examples = append(examples, member{a.name, object{
				{"summary", a.when}, {"description", a.do}, {"value", json.RawMessage(compactJSON(t, a.body))},
			}})
		}
	}
	response := object{{"description", strings.TrimSpace(description.String())}}
	if slices.ContainsFunc(all, func(a answer) bool { return a.reason != "INVALID_REQUEST" }) {
		headers = append(headers, member{headerCorrelationID, ref("headers", "CorrelationID")})
	}
	if slices.ContainsFunc(all, func(a answer) bool { return a.header.Get("Retry-After") != "" }) {
		headers = append(headers, member{"Retry-After", ref("headers", "RetryAfter")})
	}
	headers = append(headers, all.ownHeaders()...)
	if len(headers) > 0 {
		response = append(response, member{"headers", headers})
	}
	if len(examples) == 0 {
		return response
	}
	schema := failureSchema
	if all[0].reason == "" {
		schema = "RevokeResponse"
	}
	return append(response, member{"content", object{{jsonType, object{{"schema", ref("schemas", schema)}, {"examples", examples}}}}})
}

// ownHeaders are those of the drop-in door.
func (all answers) ownHeaders() object {
	if all[0].header.Get(headerReason) == "" {
		return nil
	}
	reasons, states := map[string]bool{}, map[string]bool{}
	for _, a := range all {
		reasons[a.reason] = true
		states[a.state] = true
		if a.state != "IN_PROGRESS" {
			// What earlier attempts of the call did decides between the two.
			states["NOT_APPLIED"], states["UNKNOWN"] = true, true
		}
	}
	one := func(description string, values map[string]bool) object {
		return object{{"description", description}, {"required", true}, {"schema", object{
			{"type", "string"}, {"enum", slices.Sorted(maps.Keys(values))},
		}}}
	}
	return object{
		{headerReason, one("Why the call failed: the value of ErrorInfo.reason.", reasons)},
		{headerState, one("What the call did to the token: the value of RevokeFailure.state.", states)},
	}
}

// successes are the answers of a door to the rows of the outcome table that have an
// outcome.
func successes(t *testing.T, d *door, httpStatus int) answers {
	t.Helper()
	var all answers
	for _, doc := range service.OutcomeDocs() {
		if doc.Error != nil {
			continue
		}
		resp := &quashv1.RevokeResponse{
			Outcome:       quashv1.Outcome(quashv1.Outcome_value["OUTCOME_"+doc.Outcome]),
			CorrelationId: "0f6f2f1c-5c0f-4e3f-8f3a-0e9a4c1c2d11",
		}
		if resp.GetOutcome() == quashv1.Outcome_OUTCOME_REVOKED {
			resp.Consistency = quashv1.Consistency_CONSISTENCY_LOCAL_REGION
		}
		a := answer{httpStatus: httpStatus, name: doc.Outcome, when: atSlashID(doc.When), do: doc.Do}
		if d.path == nativePath {
			body, err := (&nativeMarshaler{}).Marshal(resp)
			if err != nil {
				t.Fatal(err)
			}
			a.body = body
		}
		all = append(all, a)
	}
	return all
}

// compactJSON undoes the spaces by which protojson keeps others from relying on its
// output.
func compactJSON(t *testing.T, data []byte) []byte {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// A door's statuses for a code are the table's business; that none of them is a
// success is the document's.
func TestNoFailureIsASuccess(t *testing.T) {
	t.Parallel()
	for _, d := range []*door{newNative(), newDropIn()} {
		for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
			if got := d.statusOf(status.New(code, "")); got < http.StatusBadRequest {
				t.Errorf("%s answers %s with %d", d.path, code, got)
			}
		}
	}
}
