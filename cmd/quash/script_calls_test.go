package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

func callHTTP(ts *testscript.TestScript, neg bool, args []string) {
	secure, args := tlsOptions(ts, args)
	if len(args) < 2 {
		ts.Fatalf("usage: [!] http [TLS OPTION]… [-H 'KEY: VALUE']… METHOD URL [BODY]")
	}
	_, text, err := request(secure, args)
	if neg {
		if err == nil {
			ts.Fatalf("it was answered:\n%s", text)
		}
		fmt.Fprintln(ts.Stderr(), err)
		return
	}
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), text)
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	secure, args := tlsOptions(ts, args)
	if neg || len(args) != 3 {
		ts.Fatalf("usage: until [TLS OPTION]… STATUS URL REGEXP")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	re := regexp.MustCompile(`(?m)` + args[2])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil {
		got, text, err := request(secure, []string{http.MethodGet, args[1]})
		ts.Check(err)
		if got == want && re.MatchString(text) {
			return
		}
	}
	ts.Fatalf("%s has not answered %d with %#q", args[1], want, args[2])
}

// request makes the call that the arguments of http describe, and returns the status and the
// whole answer as text. It follows no redirects. It closes its connection without sending
// Connection: close, so that the answer shows whether the server asks for that. secure is for
// https.
func request(secure *tls.Config, args []string) (code int, text string, err error) {
	header := http.Header{"Content-Type": {"application/json"}}
	for len(args) > 2 && args[0] == "-H" {
		key, value, _ := strings.Cut(args[1], ": ")
		header.Set(key, value)
		args = args[2:]
	}
	if len(args) < 2 {
		return 0, "", errors.New("no method, or no URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], args[1], strings.NewReader(strings.Join(args[2:], "")))
	if err != nil {
		return 0, "", err
	}
	req.Header = header
	transport := &http.Transport{TLSClientConfig: secure}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.Close {
		resp.Header.Set("Connection", "close") // net/http removes this header
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %s\n", resp.Status)
	for _, key := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", key, strings.Join(resp.Header[key], ", "))
	}
	fmt.Fprintf(&b, "\n%s\n", body)
	return resp.StatusCode, b.String(), nil
}

func callRPC(ts *testscript.TestScript, neg bool, args []string) {
	overGRPC(ts, neg, args, "rpc ADDR JSON", func(ctx context.Context, conn *grpc.ClientConn, args []string) error {
		var req quashv1.RevokeRequest
		ts.Check(protojson.Unmarshal([]byte(args[0]), &req))
		resp, err := quashv1.NewTokenServiceClient(conn).Revoke(ctx, &req)
		if err != nil {
			return err
		}
		// protojson's spacing is random on purpose.
		text, err := protojson.Marshal(resp)
		ts.Check(err)
		var compact bytes.Buffer
		ts.Check(json.Compact(&compact, text))
		fmt.Fprintln(ts.Stdout(), compact.String())
		return nil
	})
}

func services(ts *testscript.TestScript, neg bool, args []string) {
	overGRPC(ts, neg, args, "services ADDR", func(ctx context.Context, conn *grpc.ClientConn, _ []string) error {
		stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		ts.Check(err)
		// If the call has already failed, Recv returns the reason.
		_ = stream.Send(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		})
		resp, err := stream.Recv()
		for _, service := range resp.GetListServicesResponse().GetService() {
			fmt.Fprintln(ts.Stdout(), service.GetName())
		}
		return err
	})
}

// overGRPC makes a call, and writes its error to the stderr of the script.
func overGRPC(ts *testscript.TestScript, neg bool, args []string, usage string, call func(context.Context, *grpc.ClientConn, []string) error) {
	secure, args := tlsOptions(ts, args)
	if len(args) != len(strings.Fields(usage))-1 {
		ts.Fatalf("usage: [!] %s, with TLS options before ADDR", usage)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := dial(secure, args[0])
	ts.Check(err)
	defer conn.Close()
	err = call(ctx, conn, args[1:])
	if err != nil {
		fmt.Fprintf(ts.Stderr(), "%s: %s\n%v\n", status.Code(err), status.Convert(err).Message(), status.Convert(err).Details())
	}
	if (err != nil) != neg {
		ts.Fatalf("the call ended with %v", err)
	}
}

// dial uses plaintext if secure is nil.
func dial(secure *tls.Config, addr string) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if secure != nil {
		creds = credentials.NewTLS(secure)
	}
	return grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
}

func serveHTTPS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: https VAR URL [NAME]")
	}
	target, err := url.Parse(args[1])
	ts.Check(err)
	quiet := log.New(io.Discard, "", 0)
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DisableKeepAlives: true},
		ErrorLog:  quiet,
	})
	s.Config.ErrorLog = quiet
	if len(args) == 3 {
		certFile := ts.MkAbs(args[2] + ".pem")
		s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, err := tls.LoadX509KeyPair(certFile, keyFileOf(certFile))
			return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, err
		}}
	}
	s.StartTLS()
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), certificate, 0o600))
}
