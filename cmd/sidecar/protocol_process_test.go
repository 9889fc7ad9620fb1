package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

// echo is a real gRPC server that says back what it is told.
type echo struct {
	pb.UnimplementedTestServiceServer
}

func (echo) FullDuplexCall(stream grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
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

func TestGRPCGoesThroughTheProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterTestServiceServer(server, echo{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	r := run(t, strings.Replace(minimal("http://"+l.Addr().String()), "endpoints:", "protocol: h2c, endpoints:", 1))

	c, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(r.data, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := pb.NewTestServiceClient(c).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		text := fmt.Sprint("message ", i)
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
		if out, err := stream.Recv(); err != nil || string(out.Payload.Body) != text {
			t.Fatalf("%q comes back as %v, %v", text, out, err)
		}
		if i == 0 { // a stream is not touched
			_, _ = ask(t, "POST", r.admin+"/-/reload", "")
		}
	}
	_ = stream.CloseSend()
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v, want its end", err)
	}
}

// A drill in the process: faults that retries absorb, and faults that open the
// breaker.
func TestADrillExercisesRetriesAndBreaker(t *testing.T) {
	r := run(t, "version: v1\n"+ports+"\nupstreams: {app: {endpoints: [{url: \""+well(t)+"\"}], retryBudget: {percent: 1000, minPerSecond: 100}}}\n"+`
policies:
  retry: {patient: {maxAttempts: 10, backoff: {base: 0s, max: 0s}}}
  circuitBreaker: {quick: {consecutiveFailures: 8, failurePercent: 0, openFor: {base: 1h, max: 1h}}}
  fault: {chaos: {abort: {status: 503}}}
routes: [{name: all, upstream: app, use: {retry: patient, circuitBreaker: quick, fault: chaos}}]
`)
	if status, text := ask(t, "PUT", r.admin+"/faults/chaos", `{"percent": 30}`); status != 200 {
		t.Fatalf("PUT: %d %s", status, text)
	}
	for i := range 30 {
		req, _ := http.NewRequest("GET", r.data, nil)
		req.Header.Set("X-Request-Id", fmt.Sprint("drill-", i)) // fixes the draw
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("request %d: %d, want the fault absorbed", i, resp.StatusCode)
		}
	}
	_, metrics := ask(t, "GET", r.telemetry+"/metrics", "")
	if !strings.Contains(metrics, `sidecar_faults_injected_total{fault="chaos",route="all",type="abort"}`) {
		t.Error("no fault was injected")
	}
	if status, text := ask(t, "PUT", r.admin+"/faults/chaos", `{"percent": 100}`); status != 200 {
		t.Fatalf("PUT: %d %s", status, text)
	}
	if status, text := ask(t, "GET", r.data, ""); status != 503 || !strings.Contains(text, "breaker_open") {
		t.Errorf("status %d %s, want the breaker to end the retries", status, text)
	}
	if _, text := ask(t, "GET", r.telemetry+"/healthz", ""); !strings.Contains(text, `"degraded"`) {
		t.Errorf("health %s, want degraded", text)
	}
}

func TestTheServersLimitsHold(t *testing.T) {
	limited := func(limits string) *running {
		return run(t, strings.Replace(minimal(well(t)), "server: {", "server: {"+limits+", ", 1))
	}

	t.Run("maxConnections", func(t *testing.T) {
		r := limited("limits: {maxConnections: 1}")
		first, second := dialRaw(t, r.data), dialRaw(t, r.data)
		fmt.Fprint(first, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		answered(t, first, "HTTP/1.1 200")
		fmt.Fprint(second, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		_ = second.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := second.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the second is answered, %d bytes, %v, want it to wait to be accepted", n, err)
		}
		first.Close()
		answered(t, second, "HTTP/1.1 200")
	})
	t.Run("readHeaderTimeout", func(t *testing.T) {
		r := limited("limits: {readHeaderTimeout: 100ms}")
		c := dialRaw(t, r.data)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost:")
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("a head that does not end: %v, want the connection closed", err)
		}
	})
	t.Run("maxHeaderBytes", func(t *testing.T) {
		r := limited("limits: {maxHeaderBytes: 4KiB}")
		c := dialRaw(t, r.data)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 20<<10))
		answered(t, c, "HTTP/1.1 431")
	})
	t.Run("protocols", func(t *testing.T) {
		r := limited("protocols: [http1]")
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get(r.data)
		if err == nil {
			resp.Body.Close()
			t.Errorf("h2c is answered with %d, want it refused", resp.StatusCode)
		}
	})
}

func dialRaw(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// answered reads from c and checks how the answer begins.
func answered(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("the answer begins %q, %v, want %q", got, err, want)
	}
}
