package validation

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"sidecar/internal/exchange"
)

// unknown returns a request whose body does not say how long it is.
func unknown(line, body string, fields ...string) *http.Request {
	r := request(line, body, fields...)
	r.ContentLength = -1
	return r
}

func TestABodyOfUnknownLengthIsBounded(t *testing.T) {
	v := policy(func(c *Config) { c.MaxBody = 8 })
	readers := map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"with EOF":     iotest.DataErrReader,
	}
	for name, reader := range readers {
		for body, want := range map[string]exchange.Reason{
			"":              "",
			"1234567":       "",
			"12345678":      "",
			"123456789":     exchange.BodyTooLarge,
			"1234567890abc": exchange.BodyTooLarge,
		} {
			t.Run(name+" "+body, func(t *testing.T) {
				r := unknown("POST /", "x")
				sent := strings.NewReader(body)
				r.Body = io.NopCloser(reader(sent))
				check(t, v.Check(r), "", "")

				got, err := io.ReadAll(r.Body)
				check(t, err, want, "")
				if wantBody := body[:min(len(body), 8)]; string(got) != wantBody {
					t.Errorf("body = %q, want %q", got, wantBody)
				}
				// iotest.DataErrReader reads ahead by itself.
				if read := len(body) - sent.Len(); read > 9 && name != "with EOF" {
					t.Errorf("%d bytes were read, want at most 9: one shows the overrun", read)
				}
				if _, again := r.Body.Read(make([]byte, 9)); want != "" && !errors.Is(again, err) {
					t.Errorf("second Read() = %v, want %v again", again, err)
				}
				blamed := exchange.From(r.Context()).ClientFault()
				if (blamed != nil) != (want != "") {
					t.Errorf("ClientFault() = %v, want one for %q", blamed, want)
				}
			})
		}
	}
}

func TestAReadErrorPassesTheLimiter(t *testing.T) {
	v := policy(func(c *Config) { c.MaxBody = 8 })
	r := unknown("POST /", "x")
	r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	check(t, v.Check(r), "", "")
	if _, err := r.Body.Read(make([]byte, 4)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read() = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if f := exchange.From(r.Context()).ClientFault(); f != nil {
		t.Errorf("ClientFault() = %v, want nil", f)
	}
}

func TestStreamsAreNotBounded(t *testing.T) {
	v := policy(func(c *Config) { c.MaxBody = 2 })
	overHTTP2 := request("POST /s/m", "12345", "Content-Type: application/grpc+proto")
	overHTTP2.ProtoMajor = 2
	tests := []struct {
		name string
		r    *http.Request
		want exchange.Reason
	}{
		{"a gRPC call", overHTTP2, ""},
		{"a gRPC call over HTTP/1, which is none", request("POST /s/m", "12345", "Content-Type: application/grpc+proto"), exchange.BodyTooLarge},
		{"the handshake of an upgrade", request("GET /", "", "Connection: keep-alive, Upgrade", "Upgrade: websocket"), ""},
		{"a handshake with a body", request("GET /", "12345", "Connection: Upgrade", "Upgrade: websocket"), exchange.BodyTooLarge},
		{"a type like gRPC's", request("POST /", "12345", "Content-Type: application/grpcx"), exchange.BodyTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, v.Check(tt.r), tt.want, "") })
	}
}
