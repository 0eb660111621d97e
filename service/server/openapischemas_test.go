package server

import (
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/bufbuild/protocompile"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// protoComments are the comments of our .proto files, which the generated code does
// not keep.
type protoComments map[protoreflect.FullName]string

func readComments(t *testing.T) protoComments {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{"../../proto"}},
			protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
				fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
				return protocompile.SearchResult{Desc: fd}, err
			}),
		},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(t.Context(), "quash/v1/token_service.proto", "quash/v1/errors.proto")
	if err != nil {
		t.Fatal(err)
	}
	comments := protoComments{}
	for _, file := range files {
		comments.readServices(file)
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			comments.read(message)
			for j := range message.Fields().Len() {
				comments.read(message.Fields().Get(j))
			}
		}
		for i := range file.Enums().Len() {
			enum := file.Enums().Get(i)
			comments.read(enum)
			for j := range enum.Values().Len() {
				comments.read(enum.Values().Get(j))
			}
		}
	}
	return comments
}

func (c protoComments) readServices(file protoreflect.FileDescriptor) {
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		c.read(service)
		for j := range service.Methods().Len() {
			c.read(service.Methods().Get(j))
		}
	}
}

func (c protoComments) read(d protoreflect.Descriptor) {
	text := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, "\n"), " "))
	}
	c[d.FullName()] = strings.TrimSpace(strings.Join(lines, "\n"))
}

// of is the comment as one line a paragraph. What belongs to gRPC alone is said in
// the words of REST.
func (c protoComments) of(name protoreflect.FullName) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(c[name], "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

// googleDescriptions are for messages whose comments are elsewhere.
var googleDescriptions = map[protoreflect.FullName]string{
	"google.rpc.ErrorInfo":                             "Why the call failed, for programs. Among the details of every error.",
	"google.rpc.ErrorInfo.reason":                      "The reason, one of those that docs/outcomes.md lists.",
	"google.rpc.ErrorInfo.domain":                      "Who gave the reason.",
	"google.rpc.BadRequest":                            "All that is wrong with the request, at once.",
	"google.rpc.BadRequest.field_violations":           "One for each rule that is broken. No value is quoted.",
	"google.rpc.BadRequest.FieldViolation":             "A rule that is broken.",
	"google.rpc.BadRequest.FieldViolation.field":       "A field of RevokeRequest, a header in lower case, or `body`, `path`, `method`, `content-type`.",
	"google.rpc.BadRequest.FieldViolation.description": "What is wrong, and what would be right.",
	"google.rpc.RequestInfo":                           "Which request to SlashID the error is about. There whenever SlashID named it.",
	"google.rpc.RequestInfo.request_id":                "SlashID's correlation id; its support asks for it.",
	"google.rpc.RetryInfo":                             "There when repeating the call can help.",
	"google.rpc.RetryInfo.retry_delay":                 "How long to wait first, in whole seconds.",
}

// neverSent are the fields of google.rpc's messages that quash leaves empty.
var neverSent = map[protoreflect.FullName]bool{
	"google.rpc.ErrorInfo.metadata":                          true,
	"google.rpc.RequestInfo.serving_data":                    true,
	"google.rpc.BadRequest.FieldViolation.reason":            true,
	"google.rpc.BadRequest.FieldViolation.localized_message": true,
}

// details are the messages that errors have, in the order in which they come.
var details = []proto.Message{
	&errdetails.ErrorInfo{}, &quashv1.RevokeFailure{}, &errdetails.BadRequest{}, &errdetails.RequestInfo{}, &errdetails.RetryInfo{},
}

// always are the fields that the JSON form of a message never lacks. protojson leaves
// out what has its zero value.
var always = map[protoreflect.FullName]bool{
	"quash.v1.RevokeRequest.token":                     true,
	"quash.v1.RevokeResponse.outcome":                  true,
	"quash.v1.RevokeFailure.state":                     true,
	"google.rpc.ErrorInfo.reason":                      true,
	"google.rpc.ErrorInfo.domain":                      true,
	"google.rpc.BadRequest.field_violations":           true,
	"google.rpc.BadRequest.FieldViolation.field":       true,
	"google.rpc.BadRequest.FieldViolation.description": true,
	"google.rpc.RequestInfo.request_id":                true,
	"google.rpc.RetryInfo.retry_delay":                 true,
}

// schemas builds the schemas of messages' JSON forms.
type schemas struct {
	comments protoComments
	// reasons and domain are what ErrorInfo can say.
	reasons []string
	domain  string
}

func (s schemas) describe(name protoreflect.FullName) string {
	if text, ok := googleDescriptions[name]; ok {
		return text
	}
	return s.comments.of(name)
}

// message is the schema of a message; typeURL is set for one that comes as a detail.
func (s schemas) message(md protoreflect.MessageDescriptor, typeURL string) object {
	var properties object
	var required []string
	if typeURL != "" {
		properties = append(properties, member{"@type", object{{"const", typeURL}, {"type", "string"}}})
		required = append(required, "@type")
	}
	for i := range md.Fields().Len() {
		field := md.Fields().Get(i)
		if neverSent[field.FullName()] {
			continue
		}
		properties = append(properties, member{field.JSONName(), s.field(field)})
		if always[field.FullName()] {
			required = append(required, field.JSONName())
		}
	}
	schema := object{{"type", "object"}, {"description", s.describe(md.FullName())}, {"properties", properties}}
	if len(required) > 0 {
		schema = append(schema, member{"required", required})
	}
	return append(schema, member{"additionalProperties", false})
}

func (s schemas) field(field protoreflect.FieldDescriptor) object {
	schema := s.value(field)
	if field.IsList() {
		schema = object{{"type", "array"}, {"minItems", 1}, {"items", schema}}
	}
	schema = append(schema, member{"description", s.describe(field.FullName())})
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	if options.GetDebugRedact() {
		schema = append(schema, member{"format", "password"})
	}
	rules, _ := proto.GetExtension(options, validate.E_Field).(*validate.FieldRules)
	if text := rules.GetString(); text != nil {
		// The pattern knows ASCII alone, so that bytes are characters.
		schema = append(schema,
			member{"minLength", text.GetMinBytes()}, member{"maxLength", text.GetMaxBytes()}, member{"pattern", text.GetPattern()})
	}
	return schema
}

// durationPattern is that of google.protobuf.Duration's JSON form.
const durationPattern = `^[0-9]+(\.[0-9]{1,9})?s$`

func (s schemas) value(field protoreflect.FieldDescriptor) object {
	switch {
	case field.FullName() == "google.rpc.ErrorInfo.reason":
		return object{{"type", "string"}, {"enum", s.reasons}}
	case field.FullName() == "google.rpc.ErrorInfo.domain":
		return object{{"const", s.domain}, {"type", "string"}}
	case field.Enum() != nil:
		return ref("schemas", string(field.Enum().Name()))
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.Duration":
		return object{{"type", "string"}, {"pattern", durationPattern}, {"examples", []string{"30s"}}}
	case field.Message() != nil:
		return s.message(field.Message(), "")
	case field.Kind() == protoreflect.BoolKind:
		return object{{"type", "boolean"}, {"default", false}}
	case field.Kind() == protoreflect.Int32Kind:
		return object{{"type", "integer"}, {"format", "int32"}, {"minimum", 0}}
	default:
		return object{{"type", "string"}}
	}
}

// enum is the schema of an enum. zero is whether its first value, which means that
// nothing was said, is ever in a message.
func (s schemas) enum(ed protoreflect.EnumDescriptor, zero bool) object {
	paragraphs := []string{s.describe(ed.FullName())}
	var names []string
	for i := range ed.Values().Len() {
		value := ed.Values().Get(i)
		if i == 0 && !zero {
			continue
		}
		names = append(names, string(value.Name()))
		paragraphs = append(paragraphs, "`"+string(value.Name())+"`: "+s.comments.of(value.FullName()))
	}
	return object{{"type", "string"}, {"description", strings.Join(paragraphs, "\n\n")}, {"enum", names}}
}

// typeURL is how google.protobuf.Any names the type of a detail.
func typeURL(m proto.Message) string {
	return "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
}

// status is the schema of google.rpc.Status, with the details that quash sends.
func (s schemas) status() object {
	var kinds []object
	var mapping object
	for _, m := range details {
		schema := ref("schemas", string(m.ProtoReflect().Descriptor().Name()))
		kinds = append(kinds, schema)
		mapping = append(mapping, member{typeURL(m), schema[0].value})
	}
	return object{
		{"type", "object"},
		{"description", "google.rpc.Status: every error of the native route. Among its details there are always ErrorInfo and RevokeFailure, " +
			"the others where they have something to say, and none of them twice."},
		{"properties", object{
			{"code", object{{"type", "integer"}, {"format", "int32"}, {"minimum", 1}, {"maximum", 16}, {"description", "The gRPC status code, a value of google.rpc.Code."}}},
			{"message", object{{"type", "string"}, {"description", "For people. Programs should read the details."}}},
			{"details", object{
				{"type", "array"},
				{"minItems", 2},
				{"items", object{{"oneOf", kinds}, {"discriminator", object{{"propertyName", "@type"}, {"mapping", mapping}}}}},
			}},
		}},
		{"required", []string{"code", "message", "details"}},
		{"additionalProperties", false},
	}
}

// all are the document's schemas.
func (s schemas) all() object {
	all := object{
		{"RevokeRequest", s.message((&quashv1.RevokeRequest{}).ProtoReflect().Descriptor(), "")},
		{"RevokeResponse", s.message((&quashv1.RevokeResponse{}).ProtoReflect().Descriptor(), "")},
		{"Consistency", s.enum(quashv1.Consistency(0).Descriptor(), true)},
		{"Outcome", s.enum(quashv1.Outcome(0).Descriptor(), false)},
		{"Status", s.status()},
	}
	for _, m := range details {
		md := m.ProtoReflect().Descriptor()
		all = append(all, member{string(md.Name()), s.message(md, typeURL(m))})
	}
	return append(all,
		member{"RevocationState", s.enum(quashv1.RevocationState(0).Descriptor(), false)},
		member{"SlashIDRequest", s.slashIDRequest()},
		member{"SlashIDEnvelope", slashIDEnvelopeSchema()},
	)
}

// slashIDRequest is SlashID's own body: the token, and whatever else is in it.
func (s schemas) slashIDRequest() object {
	token := (&quashv1.RevokeRequest{}).ProtoReflect().Descriptor().Fields().ByName("token")
	return object{
		{"type", "object"},
		{"description", "SlashID's request body. Other members are ignored."},
		{"properties", object{{token.JSONName(), s.field(token)}}},
		{"required", []string{token.JSONName()}},
	}
}

func slashIDEnvelopeSchema() object {
	count := object{{"type", "integer"}, {"const", 0}}
	return object{
		{"type", "object"},
		{"description", "SlashID's form of an error. quash lists nothing, so the pagination is zero."},
		{"properties", object{
			{"meta", object{
				{"type", "object"},
				{"properties", object{{"pagination", object{
					{"type", "object"},
					{"properties", object{{"limit", count}, {"offset", count}, {"total_count", count}}},
					{"required", []string{"limit", "offset", "total_count"}},
				}}}},
				{"required", []string{"pagination"}},
			}},
			{"errors", object{
				{"type", "array"},
				{"minItems", 1},
				{"items", object{
					{"type", "object"},
					{"properties", object{
						{"httpcode", object{{"type", "integer"}, {"description", "The status of the answer."}}},
						{"message", object{{"type", "string"}, {"description", "For people. Programs should read the headers."}}},
					}},
					{"required", []string{"httpcode", "message"}},
				}},
			}},
		}},
		{"required", []string{"meta", "errors"}},
	}
}
