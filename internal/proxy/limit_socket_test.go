package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"sidecar/internal/exchange"
)

// bounded is minimal with a maxDuration, which is the first of its bounds to
// run out.
func bounded(d string) string {
	return strings.Replace(minimal, "name: all,", "name: all, timeout: "+d+", maxDuration: "+d+",", 1)
}

func TestMaxDurationEndsAWebSocketInUse(t *testing.T) {
	p, saw := apply(t, bounded("200ms"), service(t, echoUpgrade("websocket")))
	c, _ := upgrade(t, listen(t, p), "websocket")
	for {
		fmt.Fprint(c, "hello\n")
		if _, err := c.r.ReadString('\n'); err != nil {
			break
		}
	}
	e := saw.next(t)
	if d, ok := e.noted(exchange.MaxDuration); e.Reason != exchange.MaxDuration || !ok || d.Kind != exchange.ByRoute {
		t.Errorf("reason %q by %+v, want max_duration by the route", e.Reason, d)
	}
}

func TestMaxDurationEndsAGRPCStreamInUse(t *testing.T) {
	_, up := serveGRPC(t)
	p, saw := apply(t, overH2C(bounded("200ms")), up)
	stream, err := grpcClient(t, listen(t, p)).FullDuplexCall(within(t, 20*time.Second))
	for err == nil {
		if err = stream.Send(&pb.StreamingOutputCallRequest{}); err == nil {
			_, err = stream.Recv()
		}
	}
	if e := saw.next(t); e.Reason != exchange.MaxDuration {
		t.Errorf("reason %q, want max_duration (the client sees %v)", e.Reason, err)
	}
}

func TestMaxDurationEndsAnAnswerThatNobodyReads(t *testing.T) {
	p, saw := apply(t, bounded("200ms"), service(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, zeros{})
	}))
	c := dial(t, listen(t, p))
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	c.say("GET / HTTP/1.1\nHost: x\n\n")
	if e := saw.next(t); e.Reason != exchange.MaxDuration {
		t.Errorf("reason %q, want max_duration", e.Reason)
	}
}

// The client learns which bound it was, and the connection that did not come
// about may be asked for again.
func TestWhatRanOutIsToldToTheClient(t *testing.T) {
	silent := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	tests := []struct {
		name, upstream, route string
		status                int
		want                  string
	}{
		{
			"the handshake", `endpoints: [{url: "` + strings.Replace(silent, "http:", "https:", 1) + `"}], pool: {tlsTimeout: 20ms}`, "",
			502, `sidecar;error=connection_timeout;details="upstream/app upstream_tls_timeout"`,
		},
		{
			"the head", `endpoints: [{url: "` + silent + `"}], responseHeaderTimeout: 20ms`, "",
			504, `sidecar;error=http_response_timeout;details="upstream/app upstream_header_timeout"`,
		},
		{
			"an attempt", `endpoints: [{url: "` + silent + `"}], retryBudget: {percent: 0, minPerSecond: 0}`,
			"use: {retry: {perTryTimeout: 20ms, retryOn: [timeout]}}",
			504, `sidecar;error=http_response_timeout;details="upstream/app per_try_timeout"`,
		},
		{
			"the route's time", `endpoints: [{url: "` + silent + `"}]`, "timeout: 20ms",
			504, `sidecar;error=http_response_timeout;details="upstream/app upstream_timeout"`,
		},
		{
			"all the time there is", `endpoints: [{url: "` + silent + `"}]`, "timeout: 0s, maxDuration: 20ms",
			504, `sidecar;error=http_response_timeout;details="upstream/app max_duration"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.route == "" {
				tt.route = "use: {retry: {maxAttempts: 1}}"
			}
			p, saw := apply(t, "version: v1\nupstreams: {app: {"+tt.upstream+"}}\nroutes: [{name: all, upstream: app, "+tt.route+"}]\n", silent)
			resp, text := get(t, listen(t, p))
			if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != tt.status || got != tt.want {
				t.Errorf("%d %s, want %d %s (%s)", resp.StatusCode, got, tt.status, tt.want, text)
			}
			saw.next(t)
		})
	}
}
