package service

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/quashdev/quash/internal/secrettest"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// A RevokeRequest is generated with methods that keep its token from being printed
// (tools/protoc-gen-go-redact). They are tried here, on what this package is given.

var redactionToken = secrettest.Spiked("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA")

// requestWithToken has the token where it belongs, and in unknown fields,
// its own and those of the message in it.
func requestWithToken() *quashv1.RevokeRequest {
	unknown := protowire.AppendTag(nil, 1000, protowire.BytesType)
	unknown = protowire.AppendString(unknown, redactionToken)
	req := &quashv1.RevokeRequest{
		Token:        redactionToken,
		Consistency:  quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		Timeout:      durationpb.New(5 * time.Second),
		AllowInvalid: true,
	}
	req.ProtoReflect().SetUnknown(unknown)
	req.GetTimeout().ProtoReflect().SetUnknown(unknown)
	return req
}

type embeddingRequest struct{ *quashv1.RevokeRequest }

// requestHolders are the shapes in which a request may come to be printed.
func requestHolders() map[string]any {
	req := requestWithToken()
	return map[string]any{
		"request":                req,
		"message":                proto.Message(req),
		"pointer to a pointer":   &req,
		"embedding":              embeddingRequest{req},
		"pointer to embedding":   &embeddingRequest{req},
		"struct":                 struct{ Request *quashv1.RevokeRequest }{req},
		"pointer to struct":      &struct{ Request *quashv1.RevokeRequest }{req},
		"struct with any":        struct{ Request any }{req},
		"slice":                  []*quashv1.RevokeRequest{req, req},
		"slice of messages":      []proto.Message{req},
		"slice of any":           []any{req, &req, []any{req}},
		"array":                  [1]*quashv1.RevokeRequest{req},
		"map value":              map[string]*quashv1.RevokeRequest{"request": req},
		"map of any":             map[string]any{"request": req},
		"map key":                map[*quashv1.RevokeRequest]string{req: "request"},
		"pointer to a slice":     &[]*quashv1.RevokeRequest{req},
		"function that holds it": func() *quashv1.RevokeRequest { return req },
		"error":                  fmt.Errorf("revoke %v: %w", req, errors.New("refused")),
	}
}

// hidingHolders have a request in unexported fields, where package fmt calls no
// method, but prints an address.
func hidingHolders() map[string]any {
	req := requestWithToken()
	type hiding struct {
		pointer *quashv1.RevokeRequest
		message proto.Message
		value   any
		list    []*quashv1.RevokeRequest
	}
	holder := hiding{req, req, req, []*quashv1.RevokeRequest{req}}
	return map[string]any{
		"unexported":            holder,
		"pointer to unexported": &holder,
		"struct in a struct":    struct{ Inside hiding }{holder},
		"slice of structs":      []hiding{holder},
	}
}

// pointerVerbs are those that print an address. For any other fmt looks behind a
// pointer that it finds in an unexported field, and no method can keep it from
// that; but vet refuses such a format.
var pointerVerbs = []string{"%v", "%+v", "%#v", "%p", "%#p", "%b", "%o", "%d", "%+d", "%x", "%#x", "% x", "%X", "%060d"}

// otherVerbs print a request all the same, for it has methods. Only %w does not
// care for them; vet refuses it too.
var otherVerbs = []string{
	"%s", "%+s", "%#s", "%q", "%+q", "%#q", "%O", "%c", "%U", "%#U", "%t", "%e", "%g", "%T", "%20s", "%-60.3s", "%z", "%!", "%[2]v", "%*d", "",
}

func logged(newHandler func(*bytes.Buffer) slog.Handler) func(any) string {
	return func(value any) string {
		var out bytes.Buffer
		logger := slog.New(newHandler(&out))
		logger.Info("attribute", "value", value)
		logger.Info("group", slog.Group("group", slog.Any("value", value)))
		logger.With("value", value).WithGroup("group").Info("with", "value", value)
		logger.Info(fmt.Sprint(value))
		return out.String()
	}
}

func encoded(encode func(any) ([]byte, error)) func(any) string {
	return func(value any) string { // some shapes cannot be; then the error must be silent too
		text, err := encode(value)
		return fmt.Sprintf("%s %v", text, err)
	}
}

// printers are the ways of making text of any value, these verbs among them.
func printers(verbs ...string) map[string]func(any) string {
	all := map[string]func(any) string{
		"Sprint":   func(value any) string { return fmt.Sprint(value, "", value) },
		"Sprintln": func(value any) string { return fmt.Sprintln(value) }, // which is how t.Log prints
		"Errorf":   func(value any) string { return fmt.Errorf("of %v", value).Error() },
		"log": func(value any) string {
			var out bytes.Buffer
			log.New(&out, "", 0).Print(value)
			return out.String()
		},
		"slog as text": logged(func(out *bytes.Buffer) slog.Handler { return slog.NewTextHandler(out, nil) }),
		"slog as JSON": logged(func(out *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(out, nil) }),
		"JSON":         encoded(json.Marshal),
		"XML":          encoded(xml.Marshal),
		"YAML":         encoded(yaml.Marshal),
		"template": encoded(func(value any) ([]byte, error) {
			var out bytes.Buffer
			err := template.Must(template.New("").Parse(`{{.}} {{printf "%#v %x" . .}} {{html .}}`)).Execute(&out, value)
			return out.Bytes(), err
		}),
	}
	for _, verb := range verbs {
		all[verb] = func(value any) string { return fmt.Sprintf(verb, value) }
	}
	return all
}

func TestRequestIsNotPrinted(t *testing.T) {
	t.Parallel()
	try := func(holders map[string]any, printers map[string]func(any) string) {
		for holderName, holder := range holders {
			t.Run(holderName, func(t *testing.T) {
				t.Parallel()
				for name, textOf := range printers {
					text := textOf(holder)
					if trace := secrettest.Trace(text, redactionToken); trace != "" {
						t.Errorf("%s tells %q: %s", name, trace, text)
					}
				}
			})
		}
	}
	try(requestHolders(), printers(slices.Concat(pointerVerbs, otherVerbs)...))
	try(hidingHolders(), printers(pointerVerbs...))
}

// What the printers are tried on does hold a secret, in both places.
func TestRequestToPrintHasToken(t *testing.T) {
	t.Parallel()
	req := requestWithToken()
	if got := strings.Count(prototext.Format(req), redactionToken); got != 3 {
		t.Errorf("the token is there %d times, not 3", got)
	}
	req.Token = ""
	if secrettest.Trace(prototext.Format(req), redactionToken) == "" {
		t.Error("the unknown fields are not there")
	}
}

// plain undoes prototext, which doubles spaces in some builds, lest its text be
// relied on.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestPrintedRequest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		req  *quashv1.RevokeRequest
		want string
	}{
		{"all set", requestWithToken(), `token:"[redacted]" consistency:CONSISTENCY_ALL_REGIONS timeout:{seconds:5} allow_invalid:true`},
		{"no token", &quashv1.RevokeRequest{AllowInvalid: true}, "allow_invalid:true"},
		{"a token that is not UTF-8", &quashv1.RevokeRequest{Token: "\xff\xfe"}, `token:"[redacted]"`},
		{"an unknown level", &quashv1.RevokeRequest{Consistency: 7}, "consistency:7"},
		{"nothing set", &quashv1.RevokeRequest{}, ""},
		{"nil", nil, "<nil>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			texts := map[string]string{
				"String":   tc.req.String(),
				"LogValue": tc.req.LogValue().Resolve().String(),
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%z"} {
				texts[verb] = fmt.Sprintf(verb, tc.req)
			}
			text, err := tc.req.MarshalText()
			if texts["MarshalText"] = string(text); err != nil {
				t.Error(err)
			}
			for name, text := range texts {
				if got := plain(text); got != tc.want {
					t.Errorf("%s: got %s, want %s", name, got, tc.want)
				}
			}
		})
	}
}

// Printing is all that the methods are for: the message is what it was, to those
// who send, compare or copy it.
func TestPrintingLeavesRequestAlone(t *testing.T) {
	t.Parallel()
	req := requestWithToken()
	before, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	for _, textOf := range printers("%v", "%d") {
		textOf(req)
	}
	after, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v, after printing it is sent as %q, before as %q", err, after, before)
	}
	if clone := proto.CloneOf(req); !proto.Equal(clone, req) || clone.GetToken() != redactionToken {
		t.Error("a clone is not equal")
	}
	if proto.Equal(req, &quashv1.RevokeRequest{Token: "[redacted]"}) {
		t.Error("it is taken for another that prints alike")
	}
	body, err := protojson.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	var sent quashv1.RevokeRequest
	if err := protojson.Unmarshal(body, &sent); err != nil || sent.GetToken() != redactionToken {
		t.Errorf("as protobuf's JSON it is not sent whole: %v", err)
	}
}

// The runtime prints the value of a panic that is not recovered. The test runs
// itself once more to see one.
func TestPanicWithRequestTellsNoToken(t *testing.T) {
	t.Parallel()
	const inChild = "QUASH_TEST_PANIC_WITH_REQUEST"
	if os.Getenv(inChild) != "" {
		panic(requestWithToken())
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicWithRequestTellsNoToken$")
	child.Env = append(os.Environ(), inChild+"=1")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `panic: token:"[redacted]"`) {
		t.Errorf("%v, of a panic there is only: %s", err, out)
	}
	if trace := secrettest.Trace(string(out), redactionToken); trace != "" {
		t.Errorf("the panic tells %q: %s", trace, out)
	}
}
