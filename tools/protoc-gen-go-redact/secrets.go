package main

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/gofeaturespb"
)

// secretiveMessage is a message that has secrets.
type secretiveMessage struct {
	*protogen.Message

	secrets []*protogen.Field
}

// secretiveMessages returns the messages of a file that have secrets. It fails if a secret
// cannot be redacted.
func secretiveMessages(file *protogen.File) ([]secretiveMessage, error) {
	var all []secretiveMessage
	extensions := file.Extensions
	messages := file.Messages
	for len(messages) > 0 {
		message := messages[0]
		messages = append(messages[1:], message.Messages...)
		extensions = append(extensions, message.Extensions...)
		secrets, err := secretsOf(message)
		if err != nil {
			return nil, err
		}
		if len(secrets) > 0 {
			all = append(all, secretiveMessage{message, secrets})
		}
	}
	// An extension is printed by the methods of the message that it extends, which cannot
	// redact it.
	for _, extension := range extensions {
		if isSecret(extension) || leadsToSecret(extension.Message, nil) {
			return nil, fmt.Errorf("%s: cannot be redacted: extensions must not be or contain debug_redact fields", extension.Desc.FullName())
		}
	}
	return all, nil
}

func secretsOf(message *protogen.Message) ([]*protogen.Field, error) {
	var secrets []*protogen.Field
	for _, field := range message.Fields {
		switch {
		case isSecret(field) && redactable(field):
			secrets = append(secrets, field)
		case isSecret(field):
			return nil, fmt.Errorf("%s: cannot be redacted: a debug_redact field must be a singular string "+
				"of the open API, outside oneofs", field.Desc.FullName())
		case leadsToSecret(field.Message, nil):
			return nil, fmt.Errorf("%s: cannot be redacted: its type contains a debug_redact field of another message, "+
				"which would be printed with this one", field.Desc.FullName())
		}
	}
	return secrets, nil
}

// redactable reports whether the methods of its message can redact a field. They cannot if
// another Go type also holds the field: a builder of the hybrid and opaque APIs, or the
// wrapper of a oneof.
func redactable(field *protogen.Field) bool {
	return field.Desc.Kind() == protoreflect.StringKind && !field.Desc.IsList() && field.Oneof == nil &&
		field.Parent.APILevel == gofeaturespb.GoFeatures_API_OPEN
}

func isSecret(field *protogen.Field) bool {
	options, ok := field.Desc.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDebugRedact()
}

// leadsToSecret reports whether message, or a message nested in it at any depth, has a
// secret. holders are the messages that contain message, because types may be recursive.
func leadsToSecret(message *protogen.Message, holders []*protogen.Message) bool {
	if message == nil || slices.Contains(holders, message) {
		return false
	}
	return slices.ContainsFunc(message.Fields, func(field *protogen.Field) bool {
		return isSecret(field) || leadsToSecret(field.Message, append(holders, message))
	})
}
