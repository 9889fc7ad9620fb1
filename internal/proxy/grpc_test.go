package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// echo is a real gRPC server.
type echo struct {
	pb.UnimplementedTestServiceServer
	unavailable atomic.Int64 // how many calls to refuse
	calls       atomic.Int64
}

func (s *echo) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	s.calls.Add(1)
	if s.unavailable.Add(-1) >= 0 {
		return nil, status.Error(codes.Unavailable, "not now")
	}
	if st := in.ResponseStatus; st != nil && st.Code != 0 {
		return nil, status.Error(codes.Code(st.Code), st.Message)
	}
	if md, _ := metadata.FromIncomingContext(ctx); len(md["x-hang"]) > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "kept"))
	return &pb.SimpleResponse{Payload: in.Payload}, nil
}

func (s *echo) FullDuplexCall(stream grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

// serveGRPC returns a gRPC server and its URL.
func serveGRPC(t testing.TB) (*echo, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, s := &echo{}, grpc.NewServer()
	pb.RegisterTestServiceServer(s, e)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return e, "http://" + l.Addr().String()
}

// grpcClient returns a real gRPC client of the server at url.
func grpcClient(t testing.TB, url string) pb.TestServiceClient {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(url, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return pb.NewTestServiceClient(c)
}

// overH2C is minimal for a gRPC upstream, with more in its route.
func overH2C(text string) string {
	return strings.Replace(text, "endpoints:", "protocol: h2c, endpoints:", 1)
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestGRPCCallsPassUntouched(t *testing.T) {
	_, up := serveGRPC(t)
	p, saw := apply(t, overH2C(minimal), up)
	c := grpcClient(t, listen(t, p))

	var trailer metadata.MD
	out, err := c.UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hello")}}, grpc.Trailer(&trailer))
	if err != nil || string(out.GetPayload().GetBody()) != "hello" {
		t.Errorf("unary call = %v, %v, want hello", out, err)
	}
	if got := trailer.Get("x-trailer"); len(got) != 1 || got[0] != "kept" {
		t.Errorf("trailer = %v, want kept", trailer)
	}
	if e := saw.next(t); e.Status != 200 || e.Reason != "" {
		t.Errorf("status %d, reason %q, want 200 and none", e.Status, e.Reason)
	}

	_, err = c.UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 5, Message: "no such thing"}})
	if s := status.Convert(err); s.Code() != codes.NotFound || s.Message() != "no such thing" {
		t.Errorf("error = %v, want the upstream's own NOT_FOUND", err)
	}
}

func TestGRPCStreamsPassMessageByMessage(t *testing.T) {
	_, up := serveGRPC(t)
	p, _ := apply(t, overH2C(minimal), up)
	stream, err := grpcClient(t, listen(t, p)).FullDuplexCall(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 100, 100_000, 1_000_000} {
		// The next is sent only when this one has come back.
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
			t.Fatal(err)
		}
		out, err := stream.Recv()
		if err != nil || len(out.Payload.Body) != size {
			t.Fatalf("message of %d bytes: %d came back, %v", size, len(out.GetPayload().GetBody()), err)
		}
	}
	_ = stream.CloseSend()
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v, want its end", err)
	}
}

func TestGRPCRefusalsAreGRPC(t *testing.T) {
	_, up := serveGRPC(t)
	secret := "authn: {users: {issuers: [{issuer: me, secretFile: testdata/secret}]}}"
	tests := []struct {
		name, policy string
		code         codes.Code
	}{
		{"no token", with("authn: users", secret), codes.Unauthenticated},
		{"no rule", with("authz: none-may", "authz: {none-may: {}}"), codes.PermissionDenied},
		{"a limit that is spent", with("rateLimit: one", "rateLimit: {one: {rate: 1/h}}"), codes.ResourceExhausted},
		{"no route", strings.Replace(minimal, "name: all,", "name: all, match: {path: /other},", 1), codes.Unimplemented},
		{"a denied header", with("validation: v", "validation: {v: {headers: {require: [X-Client]}}}"), codes.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := apply(t, overH2C(tt.policy), up)
			c := grpcClient(t, listen(t, p))
			var err error
			for range 2 { // a limit of one passes the first
				_, err = c.UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{})
			}
			if got := status.Code(err); got != tt.code {
				t.Errorf("error = %v, want %v", err, tt.code)
			}
		})
	}
}

func TestAGRPCUpstreamsFailuresAreGRPC(t *testing.T) {
	e, up := serveGRPC(t)
	p, _ := apply(t, overH2C(minimal), up)
	// A gRPC client would end the call by itself, maybe before it has come.
	hung, _ := http.NewRequest("POST", listen(t, p)+"/grpc.testing.TestService/UnaryCall", bytes.NewReader(make([]byte, 5)))
	hung.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {"300m"}, "X-Hang": {"1"}}
	resp, err := h2cClient(t).Do(hung)
	if err != nil {
		t.Fatal(err)
	}
	_ = body(t, resp)
	if got := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status"); got != "4" {
		t.Errorf("a server that hangs: %q, %v, want DEADLINE_EXCEEDED, 4", got, resp.Header)
	}

	gone, _ := apply(t, overH2C(minimal), dead(t))
	_, err = grpcClient(t, listen(t, gone)).UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{})
	if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "The upstream cannot be reached" {
		t.Errorf("a server that is not there: %v, want UNAVAILABLE with our own words", err)
	}

	// UNAVAILABLE is repeated where the policy lets a POST be.
	again := overH2C(with("retry: any", "retry: {any: {methods: [POST]}}"))
	retried, _ := apply(t, again, up)
	e.unavailable.Store(2)
	e.calls.Store(0)
	if _, err := grpcClient(t, listen(t, retried)).UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{}); err != nil || e.calls.Load() != 3 {
		t.Errorf("two UNAVAILABLE: %v after %d calls, want success after 3", err, e.calls.Load())
	}
}
