package server_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

type object = map[string]any

// openAPI is openapi.yaml with a compiler for its schemas.
type openAPI struct {
	document object
	mu       sync.Mutex
	compiler *jsonschema.Compiler
}

var loadOpenAPI = sync.OnceValues(func() (*openAPI, error) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	var document object
	if err := yaml.Load(text, &document); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	return &openAPI{document: document, compiler: compiler}, compiler.AddResource("openapi.yaml", document)
})

func readOpenAPI(t *testing.T) *openAPI {
	t.Helper()
	api, err := loadOpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// at follows keys and any $ref on the way. It returns the object, or nil, and its JSON
// pointer.
func (api *openAPI) at(keys ...string) (node object, pointer string) {
	node = api.document
	for _, key := range keys {
		node, _ = node[key].(object)
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		if ref, ok := node["$ref"].(string); ok {
			pointer = strings.TrimPrefix(ref, "#")
			node, _ = api.at(strings.Split(pointer, "/")[1:]...)
		}
	}
	return node, pointer
}

// validate checks a value against the schema at a JSON pointer.
func (api *openAPI) validate(pointer string, value any) error {
	api.mu.Lock()
	schema, err := api.compiler.Compile("openapi.yaml#" + pointer)
	api.mu.Unlock()
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// checkAnswer validates a response of a REST endpoint: openapi.yaml must describe its status,
// headers and body, and name its reason for that status. facade.do calls it.
func checkAnswer(t *testing.T, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	api := readOpenAPI(t)
	if path, _ := api.at("paths", req.URL.Path); path == nil || req.Method != http.MethodPost {
		return
	}
	at := []string{"paths", req.URL.Path, "post", "responses", strconv.Itoa(resp.StatusCode)}
	response, pointer := api.at(at...)
	if response == nil {
		t.Errorf("openapi.yaml: %s has no status %d: %s", req.URL.Path, resp.StatusCode, body)
		return
	}
	headers, _ := response["headers"].(object)
	for name := range headers {
		header, headerPointer := api.at(append(at, "headers", name)...)
		value := resp.Header.Get(name)
		if value == "" && header["required"] != true {
			continue
		}
		var typed any = value
		if n, err := strconv.Atoi(value); err == nil && name == "Retry-After" {
			typed = n
		}
		if err := api.validate(headerPointer+"/schema", typed); err != nil {
			t.Errorf("openapi.yaml: %s %d: header %s: %v", req.URL.Path, resp.StatusCode, name, err)
		}
	}
	content, _ := response["content"].(object)
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch {
	case content == nil:
		if len(body) > 0 {
			t.Errorf("openapi.yaml: %s %d has no body: %s", req.URL.Path, resp.StatusCode, body)
		}
		return
	case content[mediaType] == nil:
		t.Errorf("openapi.yaml: %s %d has no %q: %s", req.URL.Path, resp.StatusCode, mediaType, body)
		return
	case mediaType != "application/json":
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = api.validate(pointer+"/content/application~1json/schema", value)
	}
	if err != nil {
		t.Errorf("openapi.yaml: %s %d: %v\n%s", req.URL.Path, resp.StatusCode, err, body)
		return
	}
	if reason := restReason(resp, value); reason != "" && !api.names(req.URL.Path, resp.StatusCode, reason) {
		t.Errorf("openapi.yaml: %s %d does not name %s", req.URL.Path, resp.StatusCode, reason)
	}
}

// restReason returns the reason of an error, from its header or its details.
func restReason(resp *http.Response, body any) string {
	details, _ := body.(object)["details"].([]any)
	for _, detail := range details {
		if reason, ok := detail.(object)["reason"].(string); ok {
			return reason
		}
	}
	return resp.Header.Get("Quash-Error-Reason")
}

// names reports whether the description of a route's status names a reason.
func (api *openAPI) names(path string, status int, reason string) bool {
	responses, _ := api.at("paths", path, "post", "responses")
	response, _ := responses[strconv.Itoa(status)].(object)
	description, _ := response["description"].(string)
	return strings.Contains(description, "`"+reason+"`")
}

// docs/outcomes.md, which is generated from the outcome table, says which status each reason
// has.
func TestOpenAPINamesEveryOutcome(t *testing.T) {
	t.Parallel()
	api := readOpenAPI(t)
	text, err := os.ReadFile("../../docs/outcomes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if len(cells) < 8 || quashv1.ErrorReason_value["ERROR_REASON_"+cells[2]] == 0 {
			continue
		}
		rows++
		for i, path := range []string{nativePath, dropInPath} {
			status, err := strconv.Atoi(cells[5+i])
			if err != nil || status < http.StatusBadRequest {
				t.Errorf("%s answers %s with %s", path, cells[2], cells[5+i])
			}
			// REST calls have no deadline.
			if cells[2] != "DEADLINE_TOO_SHORT" && !api.names(path, status, cells[2]) {
				t.Errorf("%s: its %d does not name %s", path, status, cells[2])
			}
		}
	}
	if rows < len(quashv1.ErrorReason_name)-1 {
		t.Errorf("%d rows for %d reasons", rows, len(quashv1.ErrorReason_name)-1)
	}
}

func TestOpenAPIHasTheProtosFields(t *testing.T) {
	t.Parallel()
	api := readOpenAPI(t)
	for name, message := range map[string]proto.Message{
		"RevokeRequest":  &quashv1.RevokeRequest{},
		"RevokeResponse": &quashv1.RevokeResponse{},
		"RevokeFailure":  &quashv1.RevokeFailure{},
	} {
		want := map[string]bool{}
		fields := message.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			want[fields.Get(i).JSONName()] = true
		}
		properties, _ := api.at("components", "schemas", name, "properties")
		got := map[string]bool{}
		for property := range properties {
			got[property] = true
		}
		delete(got, "@type")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-proto +openapi.yaml):\n%s", name, diff)
		}
	}
	options := (&quashv1.RevokeRequest{}).ProtoReflect().Descriptor().Fields().ByName("token").Options()
	rules := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules).GetString()
	token, _ := api.at("components", "schemas", "Token")
	if token["minLength"] != int(rules.GetMinBytes()) || token["maxLength"] != int(rules.GetMaxBytes()) || token["pattern"] != rules.GetPattern() {
		t.Errorf("Token is %v, want %v", token, rules)
	}
}

func TestOpenAPIHasTheProtosEnums(t *testing.T) {
	t.Parallel()
	api := readOpenAPI(t)
	for name, tt := range map[string]struct {
		enum   protoreflect.EnumDescriptor
		prefix string
		never  []string
	}{
		"Consistency":     {enum: quashv1.Consistency(0).Descriptor()},
		"Outcome":         {enum: quashv1.Outcome(0).Descriptor(), never: []string{"OUTCOME_UNSPECIFIED"}},
		"RevocationState": {enum: quashv1.RevocationState(0).Descriptor(), never: []string{"REVOCATION_STATE_UNSPECIFIED"}},
		"Reason":          {enum: quashv1.ErrorReason(0).Descriptor(), prefix: "ERROR_REASON_", never: []string{"UNSPECIFIED", "DEADLINE_TOO_SHORT"}},
	} {
		var want, got []string
		for i := range tt.enum.Values().Len() {
			want = append(want, strings.TrimPrefix(string(tt.enum.Values().Get(i).Name()), tt.prefix))
		}
		want = slices.DeleteFunc(want, func(value string) bool { return slices.Contains(tt.never, value) })
		schema, _ := api.at("components", "schemas", name)
		for _, value := range append(list(schema["enum"]), list(schema["oneOf"])...) {
			if one, ok := value.(object); ok {
				value = one["const"]
			}
			got = append(got, value.(string))
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-proto +openapi.yaml):\n%s", name, diff)
		}
	}
}

func list(value any) []any {
	values, _ := value.([]any)
	return values
}

func TestOpenAPIExamplesAreValid(t *testing.T) {
	t.Parallel()
	api := readOpenAPI(t)
	checked := 0
	for _, at := range [][]string{
		{"paths", nativePath, "post", "responses", "200"},
		{"components", "responses", "Native"},
		{"components", "responses", "DropIn"},
	} {
		content, pointer := api.at(append(at, "content", "application/json")...)
		examples, _ := content["examples"].(object)
		for name := range maps.Keys(examples) {
			checked++
			if err := api.validate(pointer+"/schema", examples[name].(object)["value"]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if checked == 0 {
		t.Error("there are no examples")
	}
}
