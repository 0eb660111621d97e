package main

import (
	"fmt"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/gofeaturespb"
)

// secretiveMessage is a message that has secrets.
type secretiveMessage struct {
	*protogen.Message

	secrets []*protogen.Field
}

// secretiveMessages returns those of messages, and of the ones declared in them,
// that must be redacted when they are printed. It fails where that cannot be done.
func secretiveMessages(messages []*protogen.Message) ([]secretiveMessage, error) {
	var all []secretiveMessage
	for _, message := range messages {
		secrets, err := secretsOf(message)
		if err != nil {
			return nil, err
		}
		if len(secrets) > 0 {
			all = append(all, secretiveMessage{message, secrets})
		}
		if err := noSecrets(message.Extensions); err != nil {
			return nil, err
		}
		nested, err := secretiveMessages(message.Messages)
		if err != nil {
			return nil, err
		}
		all = append(all, nested...)
	}
	return all, nil
}

// secretsOf returns the secret fields of message.
func secretsOf(message *protogen.Message) ([]*protogen.Field, error) {
	var secrets []*protogen.Field
	for _, field := range message.Fields {
		if isSecret(field) {
			if redactable(field) {
				secrets = append(secrets, field)
				continue
			}
			return nil, fmt.Errorf("%s: cannot be redacted; of debug_redact fields can be "+
				"only singular strings and bytes of the open API, outside oneofs", field.Desc.FullName())
		}
		if leadsToSecret(field.Message, map[*protogen.Message]bool{}) {
			return nil, fmt.Errorf("%s: cannot be redacted; it leads to a debug_redact field of another message, "+
				"which would be printed with this one", field.Desc.FullName())
		}
	}
	return secrets, nil
}

// redactable reports whether the methods of its message can keep a secret from
// being printed. They cannot where Go has a type of its own that holds it: a
// builder of the hybrid and opaque APIs, the wrapper of a oneof.
func redactable(field *protogen.Field) bool {
	_, ofKnownKind := standIn[field.Desc.Kind()]
	return ofKnownKind && !field.Desc.IsList() &&
		(field.Oneof == nil || field.Oneof.Desc.IsSynthetic()) &&
		field.Parent.APILevel == gofeaturespb.GoFeatures_API_OPEN
}

// noSecrets refuses secrets in extensions: they are printed by the methods of the
// message that they extend, which does not know of them.
func noSecrets(extensions []*protogen.Extension) error {
	for _, extension := range extensions {
		if isSecret(extension) || leadsToSecret(extension.Message, map[*protogen.Message]bool{}) {
			return fmt.Errorf("%s: cannot be redacted; extensions cannot be, or lead to, debug_redact fields", extension.Desc.FullName())
		}
	}
	return nil
}

func isSecret(field *protogen.Field) bool {
	options, ok := field.Desc.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDebugRedact()
}

// leadsToSecret reports whether message, or one that it may hold, has a secret.
func leadsToSecret(message *protogen.Message, seen map[*protogen.Message]bool) bool {
	if message == nil || seen[message] {
		return false
	}
	seen[message] = true
	for _, field := range message.Fields {
		if isSecret(field) || leadsToSecret(field.Message, seen) {
			return true
		}
	}
	return false
}
