package server

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Answers that are written without protojson say what it would write, whatever they hold.
func TestPlainAnswersAreProtojsons(t *testing.T) {
	t.Parallel()
	const beyond = 99 // an enum's value that this version does not know
	plain := 0
	for outcome := range int32(len(quashv1.Outcome_name) + 1) {
		for consistency := range int32(len(quashv1.Consistency_name) + 1) {
			for _, id := range []string{
				"", "a", "6f1c7f0e-6a1b-4a53-9d6c-0c3d1f6a2b4e", "6f1c~ !", "a\"b", `a\b`, "a\nb", "a\x7fb", "a\x00b", "<&>", "é", "\u2028", strings.Repeat("a", 1000),
			} {
				resp := &quashv1.RevokeResponse{
					Outcome: quashv1.Outcome(outcome), Consistency: quashv1.Consistency(consistency), CorrelationId: id,
				}
				if _, known := quashv1.Outcome_name[outcome]; !known {
					resp.Outcome = beyond
				}
				if _, known := quashv1.Consistency_name[consistency]; !known {
					resp.Consistency = beyond
				}
				want, err := protojson.Marshal(resp)
				if err != nil {
					t.Fatal(err)
				}
				got, err := new(nativeMarshaler).Marshal(resp)
				if err != nil {
					t.Fatal(err)
				}
				if string(compactJSON(t, got)) != string(compactJSON(t, want)) {
					t.Errorf("%v: %s, want %s", resp, got, want)
				}
				if _, ok := plainAnswer(resp); ok {
					plain++
				}
			}
		}
	}
	if plain == 0 {
		t.Error("protojson wrote them all")
	}
}

// A field that is new to the message is not forgotten.
func TestPlainAnswersHaveEveryField(t *testing.T) {
	t.Parallel()
	want := new(quashv1.RevokeResponse)
	fields := want.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		switch field := fields.Get(i); field.Kind() {
		case protoreflect.EnumKind:
			want.ProtoReflect().Set(field, protoreflect.ValueOfEnum(1))
		case protoreflect.StringKind:
			want.ProtoReflect().Set(field, protoreflect.ValueOfString("a"))
		default:
			t.Fatalf("%s is of a kind that plain answers do not have", field.Name())
		}
	}
	text, ok := plainAnswer(want)
	if !ok {
		t.Fatal("it is for protojson")
	}
	got := new(quashv1.RevokeResponse)
	if err := protojson.Unmarshal(text, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%s, %v; want %v", text, err, want)
	}
}
