package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// bodyField is the field of a violation that concerns the body as a whole.
const bodyField = "body"

// strictDecoder is a decoder of grpc-gateway that reads a whole body with decode. The
// gateway keeps only the text of an error, so errors of decode have the form
// "field: rule", which decodingError takes apart. None of them quotes the body, as those
// of JSON decoders do: there may be a token in it.
func strictDecoder(r io.Reader, decode func(body []byte, into *quashv1.RevokeRequest) error) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return decode(body, v.(*quashv1.RevokeRequest)) //nolint:forcetypeassert // the only request there is
	})
}

// decodingError is the error for a body that a strictDecoder could not read.
func decodingError(text string) *service.Error {
	field, rule, _ := strings.Cut(text, ": ")
	return service.InvalidRequest(service.Violation{Field: field, Description: rule})
}

// decodeNative reads the JSON form of a request: nothing unknown, nothing twice, nothing
// after it.
func decodeNative(body []byte, into *quashv1.RevokeRequest) error {
	if protojson.Unmarshal(body, into) != nil {
		return explain(body, into)
	}
	return nil
}

// decodeDropIn reads SlashID's request body: an object with the member token, whatever
// other members it has. A member that is there twice is an error: SlashID and a proxy
// might take different ones.
func decodeDropIn(body []byte, into *quashv1.RevokeRequest) error {
	var members structpb.Struct
	if protojson.Unmarshal(body, &members) != nil {
		return explain(body, nil)
	}
	value, ok := members.GetFields()["token"]
	if !ok {
		return nil // left to the rule that a token must not be empty
	}
	token, ok := value.GetKind().(*structpb.Value_StringValue)
	if !ok {
		return errors.New("token: must be a string")
	}
	into.Token = token.StringValue
	return nil
}

// explain says what keeps a body from being a JSON object or, if message is not nil, the
// JSON form of the message.
func explain(body []byte, message proto.Message) error {
	if len(body) == 0 {
		return errors.New(bodyField + ": is empty; it must be a JSON object")
	}
	var members map[string]json.RawMessage
	err := json.Unmarshal(body, &members)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf(bodyField+": is not JSON: it goes wrong at byte %d of %d", syntax.Offset, len(body))
	}
	if err != nil || members == nil {
		return errors.New(bodyField + ": must be a JSON object")
	}
	if message != nil {
		if err := explainMembers(members, message.ProtoReflect()); err != nil {
			return err
		}
	}
	return errors.New(bodyField + ": is JSON that quash does not read: a member twice, a number out of range, or text that is not Unicode")
}

func explainMembers(members map[string]json.RawMessage, message protoreflect.Message) error {
	fields := message.Descriptor().Fields()
	var known []string
	for i := range fields.Len() {
		field := fields.Get(i)
		for _, name := range []string{field.JSONName(), field.TextName()} {
			value, ok := members[name]
			if !ok {
				continue
			}
			delete(members, name)
			alone := fmt.Appendf(nil, "{%q:%s}", name, value)
			if protojson.Unmarshal(alone, message.New().Interface()) != nil {
				return fmt.Errorf("%s: does not have the JSON form of %s", field.TextName(), fieldType(field))
			}
		}
		known = append(known, field.JSONName())
	}
	if len(members) > 0 {
		return fmt.Errorf(bodyField+": has unknown members; the known ones are %s", strings.Join(known, ", "))
	}
	return nil
}

func fieldType(field protoreflect.FieldDescriptor) protoreflect.FullName {
	switch {
	case field.Enum() != nil:
		return field.Enum().FullName()
	case field.Message() != nil:
		return field.Message().FullName()
	default:
		return protoreflect.FullName(field.Kind().String())
	}
}
