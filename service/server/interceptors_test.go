package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// A panic is answered with a fixed text at every door, is logged with where it
// came from, and takes nothing of the request along: not even where the value of
// the panic was made of it.
func TestPanic(t *testing.T) {
	t.Parallel()
	const token = "header123.claims456.signature789"
	var log lockedBuffer
	f := startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		panic(fmt.Errorf("no way to revoke %s", req.Token.Reveal()))
	}), func(_ *service.Config, cfg *server.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})

	_, err := f.grpc.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token})
	st := status.Convert(err)
	if st.Code() != codes.Internal || st.Message() != "internal error" || len(st.Details()) != 2 {
		t.Fatalf("gRPC: %v", st.Proto())
	}
	if info, ok := st.Details()[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != "INTERNAL" {
		t.Errorf("ErrorInfo: %v", st.Details()[0])
	}
	if failure, ok := st.Details()[1].(*quashv1.RevokeFailure); !ok || failure.GetState() != quashv1.RevocationState_REVOCATION_STATE_UNKNOWN {
		t.Errorf("RevokeFailure: %v", st.Details()[1])
	}
	var answers strings.Builder
	answers.WriteString(st.Proto().String())
	for _, path := range []string{nativePath, dropInPath} {
		resp, body := f.post(t, path, jsonHeader, []byte(`{"token":"`+token+`"}`))
		if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "internal error") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		fmt.Fprint(&answers, string(body), resp.Header)
	}
	logged := log.String()
	if got := strings.Count(logged, "msg=panic"); got != 3 {
		t.Errorf("%d panics are logged, want 3", got)
	}
	if !strings.Contains(logged, "TestPanic") {
		t.Error("the log does not say where the panic came from")
	}
	for part := range strings.SplitSeq(token, ".") {
		if strings.Contains(answers.String()+logged, part) {
			t.Errorf("%q got out", part)
		}
	}
}

// lockedBuffer is a buffer that a logger and a test can share.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
