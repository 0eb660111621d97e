package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// bodyField is the field of a violation that concerns the body as a whole.
const bodyField = "body"

// wholeBody is a request body that quash has read. grpc-gateway hands it to strictDecoder.
type wholeBody struct {
	io.ReadCloser

	bytes []byte
}

// strictDecoder returns a decoder for grpc-gateway that reads a wholeBody with decode.
//
// The gateway keeps only the text of an error, so the violations travel as that text, one
// per line; decodingError parses it. The errors of protojson must not get there, because
// they quote the body, which contains a token.
func strictDecoder(r io.Reader, decode func(body []byte, into *quashv1.RevokeRequest) []service.Violation) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body := r.(wholeBody).bytes                            //nolint:forcetypeassert // endpoint.serve sets it
		violations := decode(body, v.(*quashv1.RevokeRequest)) //nolint:forcetypeassert // the only request there is
		errs := make([]error, len(violations))
		for i, violation := range violations {
			errs[i] = errors.New(violation.String())
		}
		return errors.Join(errs...)
	})
}

// decodingError returns the error for a body that a strictDecoder could not read.
func decodingError(text string) *service.Error {
	var violations []service.Violation
	for line := range strings.SplitSeq(text, "\n") {
		field, rule, _ := strings.Cut(line, ": ")
		violations = append(violations, service.Violation{Field: field, Description: rule})
	}
	return service.InvalidRequest(violations...)
}

// decodeNative reads the JSON form of a request. Unknown members, repeated members and
// anything after the object are errors.
func decodeNative(body []byte, into *quashv1.RevokeRequest) []service.Violation {
	if protojson.Unmarshal(body, into) == nil {
		return nil
	}
	members, violation := readMembers(body)
	if violation != nil {
		return []service.Violation{*violation}
	}
	return explainNative(members, into.ProtoReflect().Descriptor().Fields())
}

// decodeDropIn reads SlashID's request body: an object with the member token. Other
// members are ignored. A repeated member is an error, because SlashID and a proxy might
// read different ones.
func decodeDropIn(body []byte, into *quashv1.RevokeRequest) []service.Violation {
	var object structpb.Struct
	if protojson.Unmarshal(body, &object) != nil {
		return []service.Violation{explainDropIn(body)}
	}
	for name := range object.GetFields() {
		if name != "token" && strings.EqualFold(name, "token") {
			// A parser that ignores case would read this one.
			return []service.Violation{{Field: "token", Description: "must be spelled in lower case, and given once"}}
		}
	}
	value, ok := object.GetFields()["token"]
	if !ok {
		return nil // an empty token breaks the rule of the field
	}
	token, ok := value.GetKind().(*structpb.Value_StringValue)
	if !ok {
		return []service.Violation{service.FieldViolation("token")}
	}
	into.Token = token.StringValue
	return nil
}

func explainDropIn(body []byte) service.Violation {
	members, violation := readMembers(body)
	if violation != nil {
		return *violation
	}
	tokens := slices.DeleteFunc(members, func(m member) bool { return m.name != "token" })
	if len(tokens) > 1 {
		return repeated("token")
	}
	return unreadable()
}

// member is a member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// readMembers returns the members of a body in their order, repeated ones included, or the
// reason why the body is not a JSON object.
func readMembers(body []byte) (all []member, _ *service.Violation) {
	invalid := func(format string, args ...any) ([]member, *service.Violation) {
		return nil, &service.Violation{Field: bodyField, Description: fmt.Sprintf(format, args...)}
	}
	if len(body) == 0 {
		return invalid("must not be empty: send a JSON object")
	}
	var whole json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &whole)); ok {
		return invalid("must be valid JSON, with a syntax error at byte %d of %d", syntax.Offset, len(body))
	}
	decoder := json.NewDecoder(bytes.NewReader(whole))
	if begin, _ := decoder.Token(); begin != json.Delim('{') {
		return invalid("must be a JSON object")
	}
	for decoder.More() {
		var one member
		name, _ := decoder.Token() // which is a string, because the JSON is valid
		one.name, _ = name.(string)
		_ = decoder.Decode(&one.value)
		all = append(all, one)
	}
	return all, nil
}

// explainNative returns why members are not the JSON form of a message with these fields.
// It decodes each member alone to find the field: protojson reports only the first error,
// in a text that quotes the value.
func explainNative(all []member, fields protoreflect.FieldDescriptors) (violations []service.Violation) {
	add := func(v service.Violation) {
		if !slices.Contains(violations, v) {
			violations = append(violations, v)
		}
	}
	seen := map[protoreflect.Name]bool{}
	for _, one := range all {
		field := fields.ByJSONName(one.name)
		if field == nil {
			field = fields.ByTextName(one.name)
		}
		if field == nil {
			// The name is not repeated: it can be a token that is in the wrong place.
			add(service.Violation{Field: bodyField, Description: "must have no members other than " + jsonNames(fields)})
			continue
		}
		if seen[field.Name()] {
			add(repeated(field.TextName()))
		}
		seen[field.Name()] = true
		alone := fmt.Appendf(nil, "{%q:%s}", one.name, one.value)
		if protojson.Unmarshal(alone, &quashv1.RevokeRequest{}) != nil {
			add(service.FieldViolation(field.TextName()))
		}
	}
	if violations == nil {
		add(unreadable())
	}
	return violations
}

func jsonNames(fields protoreflect.FieldDescriptors) string {
	names := make([]string, 0, fields.Len())
	for i := range fields.Len() {
		names = append(names, fields.Get(i).JSONName())
	}
	return strings.Join(names, ", ")
}

func repeated(field string) service.Violation {
	return service.Violation{Field: field, Description: "must be given once"}
}

// unreadable is the violation of a JSON object that protojson rejects, although each
// member that quash knows is acceptable alone.
func unreadable() service.Violation {
	return service.Violation{
		Field: bodyField, Description: "must be a JSON object in UTF-8, with no repeated member and no number out of range",
	}
}
