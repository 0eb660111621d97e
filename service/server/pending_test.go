package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// openCall sends the header of a call without a message.
func openCall(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, quashv1.TokenService_Revoke_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// complete sends the message of a call and waits for the response.
func complete(stream grpc.ClientStream) error {
	// If the call has ended, RecvMsg returns the reason.
	_ = stream.SendMsg(&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(2 * time.Minute)})
	_ = stream.CloseSend()
	return stream.RecvMsg(new(quashv1.RevokeResponse))
}

// openBody starts a request whose body the caller writes. answer waits for the response.
func openBody(t *testing.T, m *inMemory, path string) (body *io.PipeWriter, answer func() (code int, text string)) {
	t.Helper()
	read, write := io.Pipe()
	t.Cleanup(func() { _ = write.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url(path), read)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	client := m.dialREST(t)
	var code int
	var text []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		code = resp.StatusCode
		text, _ = io.ReadAll(resp.Body)
	}()
	_, _ = io.WriteString(write, `{"token":`)
	synctest.Wait()
	return write, func() (int, string) {
		<-done
		return code, string(text)
	}
}

func TestMissingMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := serveInMemory(t, 0, slowly, Limits{Pending: 1, TransferTimeout: 10 * time.Second}, false)
		conn := m.dialGRPC(t)
		begun := time.Now()
		err := openCall(t, conn).RecvMsg(new(quashv1.RevokeResponse))
		if took := time.Since(begun); status.Code(err) != codes.Canceled || took != 10*time.Second {
			t.Errorf("after %s: %v; want Canceled after 10 s", took, err)
		}
		// The timeout is for receiving the message, not for the response.
		late := openCall(t, conn)
		time.Sleep(9 * time.Second)
		if err := complete(late); err != nil {
			t.Errorf("a call that was in time: %v", err)
		}
		_, answer := openBody(t, m, nativePath)
		if code, text := answer(); code != http.StatusBadRequest || !strings.Contains(text, "within 10s") {
			t.Errorf("a missing body: %d %s", code, text)
		}
	})
}

// A stream counts as read after its first message, and may then stay open.
func TestStreamIsNotPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serveInMemory(t, 0, revokesAll, Limits{Pending: 1, TransferTimeout: time.Minute}, false).dialGRPC(t)
		stream, err := healthv1.NewHealthClient(conn).Watch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if err := complete(openCall(t, conn)); err != nil {
			t.Error(err)
		}
	})
}

// A stream over the limit is rejected with UNIMPLEMENTED, after which clients stop watching.
func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := serveInMemory(t, 0, revokesAll, Limits{StreamsPerConnection: 2 * streamsAtOnce}, false)
		health := healthv1.NewHealthClient(m.dialGRPC(t))
		for n := range streamsAtOnce + 1 {
			stream, err := health.Watch(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); status.Code(err) == codes.OK != (n < streamsAtOnce) || err != nil && status.Code(err) != codes.Unimplemented {
				t.Fatalf("stream %d: %v", n, err)
			}
		}
	})
}

// Requests over the limit are rejected, over gRPC and REST together, and the error says that
// nothing was done. Requests that were pending before are served.
func TestTooManyPending(t *testing.T) {
	t.Parallel()
	for _, path := range []string{nativePath, dropInPath} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := serveInMemory(t, 0, revokesAll, Limits{Pending: 2, TransferTimeout: time.Hour}, true)
				conn := m.dialGRPC(t)
				first := openCall(t, conn)
				synctest.Wait()
				second, secondAnswer := openBody(t, m, path)

				err := complete(openCall(t, conn))
				info, failure := errorInfo(status.Convert(err)), detail[*quashv1.RevokeFailure](status.Convert(err))
				if status.Code(err) != codes.ResourceExhausted || info.GetReason() != "OVERLOADED" ||
					failure.GetState() != quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED {
					t.Errorf("a third call: %v %v", err, failure)
				}
				_, thirdAnswer := openBody(t, m, path)
				if code, text := thirdAnswer(); code != http.StatusTooManyRequests || path == nativePath && !strings.Contains(text, "OVERLOADED") {
					t.Errorf("a third request: %d %s", code, text)
				}

				if err := complete(first); err != nil {
					t.Errorf("the first: %v", err)
				}
				_, _ = io.WriteString(second, `"a"}`)
				_ = second.Close()
				if code, text := secondAnswer(); code/100 != 2 {
					t.Errorf("the second: %d %s", code, text)
				}
				if err := complete(openCall(t, conn)); err != nil {
					t.Errorf("a call after them: %v", err)
				}
			})
		})
	}
}

// A burst of complete calls is served, although more calls arrive at once than may be pending.
func TestBurst(t *testing.T) {
	t.Parallel()
	const calls = 10_000
	m := serveInMemory(t, 0, revokesAll, Limits{Pending: 600, StreamsPerConnection: calls}, false)
	conn, err := m.grpc.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	message, err := proto.Marshal(&quashv1.RevokeRequest{Token: "a"})
	if err != nil {
		t.Fatal(err)
	}
	message = append([]byte{0, 0, 0, 0, byte(len(message))}, message...) // gRPC's prefix
	var burst, block bytes.Buffer
	burst.WriteString(http2.ClientPreface)
	frames := http2.NewFramer(&burst, conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	header := hpack.NewEncoder(&block)
	failures := errors.Join(frames.WriteSettings(), frames.WriteWindowUpdate(0, 1<<20))
	for stream := uint32(1); stream < 2*calls; stream += 2 {
		block.Reset()
		for _, field := range [][2]string{
			{":method", "POST"},
			{":scheme", "http"},
			{":path", quashv1.TokenService_Revoke_FullMethodName},
			{":authority", "quash"},
			{"content-type", "application/grpc"},
			{"te", "trailers"},
		} {
			failures = errors.Join(failures, header.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
		}
		failures = errors.Join(failures,
			frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}),
			frames.WriteData(stream, true, message))
	}
	if failures != nil {
		t.Fatal(failures)
	}
	if _, err := conn.Write(burst.Bytes()); err != nil {
		t.Fatal(err)
	}
	for ended := 0; ended < calls; {
		frame, err := frames.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(frame)
		case *http2.MetaHeadersFrame:
			if !frame.StreamEnded() {
				continue
			}
			ended++
			if !slices.Contains(frame.Fields, hpack.HeaderField{Name: "grpc-status", Value: "0"}) {
				t.Fatal(frame.Fields)
			}
		}
	}
}
