package main

import (
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// The imports of generated code. The protobuf runtime links all of them except slog.
const (
	fmtPackage          = protogen.GoImportPath("fmt")
	slogPackage         = protogen.GoImportPath("log/slog")
	protoreflectPackage = protogen.GoImportPath("google.golang.org/protobuf/reflect/protoreflect")
	prototextPackage    = protogen.GoImportPath("google.golang.org/protobuf/encoding/prototext")
)

// writeMethods writes the methods that fmt, slog and the encoders of JSON, XML and YAML call.
func writeMethods(g *protogen.GeneratedFile, message secretiveMessage) {
	receiver := "func (x *" + message.GoIdent.GoName + ") "
	names := make([]string, len(message.secrets))
	for i, secret := range message.secrets {
		names[i] = string(secret.Desc.Name())
	}

	// String prints a copy from which the secrets are removed. Unlike Format, Marshal omits
	// unknown fields also in nested messages.
	g.P("// String returns the fields of x as human-readable text. Secrets (", strings.Join(names, ", "), ") are")
	g.P("// replaced by \"[redacted]\", and unknown fields are omitted.")
	g.P(receiver, "String() string {")
	g.P("if x == nil {")
	g.P(`return "<nil>"`)
	g.P("}")
	g.P("printable := x.ProtoReflect().New()")
	g.P("x.ProtoReflect().Range(func(field ", protoreflectPackage.Ident("FieldDescriptor"), ", value ", protoreflectPackage.Ident("Value"), ") bool {")
	g.P("switch field.Number() {")
	for _, secret := range message.secrets {
		g.P("case ", secret.Desc.Number(), ": // ", secret.Desc.Name())
		g.P("value = ", protoreflectPackage.Ident("ValueOfString"), `("[redacted]")`)
	}
	g.P("}")
	g.P("printable.Set(field, value)")
	g.P("return true")
	g.P("})")
	g.P("text, err := ", prototextPackage.Ident("MarshalOptions"), "{AllowPartial: true}.Marshal(printable.Interface())")
	g.P("if err != nil {")
	g.P("return err.Error() // names a field, but not its value")
	g.P("}")
	g.P("return string(text)")
	g.P("}")
	g.P()
	g.P("// Format implements [fmt.Formatter]: every verb prints [", message.GoIdent, ".String].")
	g.P(receiver, "Format(f ", fmtPackage.Ident("State"), ", _ rune) {")
	g.P(fmtPackage.Ident("Fprint"), "(f, x.String())")
	g.P("}")
	g.P()
	g.P("// LogValue implements [slog.LogValuer]: loggers write [", message.GoIdent, ".String].")
	g.P(receiver, "LogValue() ", slogPackage.Ident("Value"), " {")
	g.P("return ", slogPackage.Ident("StringValue"), "(x.String())")
	g.P("}")
	g.P()
	g.P("// MarshalText implements [encoding.TextMarshaler]: encoders of JSON, XML and YAML")
	g.P("// write [", message.GoIdent, ".String]. To send a message as JSON, use protojson.")
	g.P(receiver, "MarshalText() ([]byte, error) {")
	g.P("return []byte(x.String()), nil")
	g.P("}")
	g.P()
}
