package server_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// genericTypes are all that a caller in another language has: google.rpc, and our
// own descriptors without the options that only tools read.
func genericTypes(t *testing.T) *dynamicpb.Types {
	t.Helper()
	files := &protoregistry.Files{}
	for _, fd := range []protoreflect.FileDescriptor{
		descriptorpb.File_google_protobuf_descriptor_proto,
		durationpb.File_google_protobuf_duration_proto,
		errdetails.File_google_rpc_error_details_proto,
		quashv1.File_quash_v1_token_service_proto,
		quashv1.File_quash_v1_errors_proto,
	} {
		bare := withoutOptions(protodesc.ToFileDescriptorProto(fd))
		file, err := protodesc.NewFile(bare, files)
		if err != nil {
			t.Fatal(err)
		}
		if err := files.RegisterFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return dynamicpb.NewTypes(files)
}

// withoutOptions drops what refers to google/api and buf/validate.
func withoutOptions(fd *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	fd.Dependency = slices.DeleteFunc(fd.Dependency, func(path string) bool {
		return strings.HasPrefix(path, "google/api/") || strings.HasPrefix(path, "buf/")
	})
	fd.PublicDependency, fd.WeakDependency = nil, nil
	for _, m := range fd.MessageType {
		for _, f := range m.Field {
			f.Options = nil
		}
	}
	for _, s := range fd.Service {
		for _, m := range s.Method {
			m.Options = nil
		}
	}
	return fd
}

// A caller that knows nothing of quash but its protos finds every detail, on the
// wire of gRPC and in the JSON of REST.
func TestDetailsForGenericClients(t *testing.T) {
	t.Parallel()
	types := genericTypes(t)
	f := startFacade(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
		return slashid.Result{
			Status: http.StatusServiceUnavailable, Sent: true,
			CorrelationID: "7f0c", RetryAfter: time.Hour,
		}
	}))

	var trailer metadata.MD
	_, err := f.grpc.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a.b.c"}, grpc.Trailer(&trailer))
	if err == nil {
		t.Fatal("the call succeeded")
	}
	// The trailer itself rather than grpc-go's view of it.
	raw := trailer.Get("grpc-status-details-bin")
	if len(raw) != 1 {
		t.Fatalf("%d trailers with details", len(raw))
	}
	overGRPC := &statuspb.Status{}
	if err := proto.Unmarshal([]byte(raw[0]), overGRPC); err != nil {
		t.Fatal(err)
	}
	checkGenericDetails(t, types, overGRPC)

	_, body := f.post(t, nativePath, jsonHeader, []byte(`{"token":"a.b.c"}`))
	overREST := &statuspb.Status{}
	if err := (protojson.UnmarshalOptions{Resolver: types}).Unmarshal(body, overREST); err != nil {
		t.Fatal(err)
	}
	checkGenericDetails(t, types, overREST)
}

func checkGenericDetails(t *testing.T, types *dynamicpb.Types, st *statuspb.Status) {
	t.Helper()
	got := map[string]map[string]any{}
	for _, d := range st.GetDetails() {
		message, err := types.FindMessageByURL(d.GetTypeUrl())
		if err != nil {
			t.Fatalf("%s: %v", d.GetTypeUrl(), err)
		}
		detail := message.New().Interface()
		if err := proto.Unmarshal(d.GetValue(), detail); err != nil {
			t.Fatalf("%s: %v", d.GetTypeUrl(), err)
		}
		data, err := protojson.Marshal(detail)
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{}
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		got[string(detail.ProtoReflect().Descriptor().FullName())] = fields
	}
	if elapsed, ok := got["quash.v1.RevokeFailure"]["elapsed"].(string); !ok || elapsed == "" {
		t.Error("no elapsed time")
	}
	maps.DeleteFunc(got["quash.v1.RevokeFailure"], func(name string, _ any) bool { return name == "elapsed" })
	diff(t, "details", map[string]map[string]any{
		"google.rpc.ErrorInfo": {"reason": "UPSTREAM_UNAVAILABLE", "domain": "quash"},
		"quash.v1.RevokeFailure": {
			"state": "REVOCATION_STATE_UNKNOWN", "consistency": "CONSISTENCY_LOCAL_REGION",
			"timeout": "30s", "attempts": float64(1), "upstreamStatus": float64(503),
		},
		"google.rpc.RequestInfo": {"requestId": "7f0c"},
		"google.rpc.RetryInfo":   {"retryDelay": "3600s"},
	}, got)
}

// nativeState is the state in an error of the native door.
func nativeState(t *testing.T, body []byte) string {
	t.Helper()
	st := &statuspb.Status{}
	decode(t, body, st)
	for _, d := range st.GetDetails() {
		failure := &quashv1.RevokeFailure{}
		if d.MessageIs(failure) {
			if err := d.UnmarshalTo(failure); err != nil {
				t.Fatal(err)
			}
			return failure.GetState().String()[len("REVOCATION_STATE_"):]
		}
	}
	return ""
}
