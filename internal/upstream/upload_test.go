package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"sidecar/internal/exchange"
)

// slow is a body that comes in the parts that it is sent.
type slow struct{ parts chan string }

func (b slow) Read(p []byte) (int, error) {
	part, ok := <-b.parts
	if !ok {
		return 0, io.EOF
	}
	return copy(p, part), nil
}

func (slow) Close() error { return nil }

func TestABodyThatArrivesInPartsIsSentWhole(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		var got string
		u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			got = string(body)
			io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}))
		s := request("POST", "/", "hello")
		s.Body = io.NopCloser(iotest.OneByteReader(s.Body))
		get(t, u, s)
		if got != "hello" {
			t.Errorf("sent %q, want hello", got)
		}
	})
}

func TestAnUpstreamMayAnswerASlowUploadEarly(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			if r, err := http.ReadRequest(in); err == nil {
				io.ReadFull(r.Body, make([]byte, 2))
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
		}))
		s := request("POST", "/", "hello")
		body := slow{make(chan string, 1)}
		defer close(body.parts)
		s.Body = body
		body.parts <- "he"
		if resp, _ := get(t, u, s); resp.StatusCode != 200 {
			t.Errorf("status = %d, want 200 before the body has ended", resp.StatusCode)
		}
	})
}

func TestABodyThatFailsIsNotSent(t *testing.T) {
	broken := errors.New("broken")
	refusal := &exchange.Refusal{Kind: exchange.Validation, Reason: exchange.BodyTooLarge}
	tests := []struct {
		name string
		body io.Reader
		kind exchange.FailureKind // of what was to be a call; empty: the refusal
	}{
		{"at once", iotest.ErrReader(broken), exchange.FailedClient},
		{"in the midst", io.MultiReader(iotest.HalfReader(iotest.DataErrReader(strings.NewReader("he"))), iotest.ErrReader(broken)), exchange.FailedClient},
		{"too short", strings.NewReader("hell"), exchange.FailedClient},
		{"too long", strings.NewReader("hello!"), exchange.FailedClient},
		{"too long in parts", iotest.OneByteReader(strings.NewReader("hello!!")), exchange.FailedClient},
		{"by a refusal", io.MultiReader(strings.NewReader("he"), iotest.ErrReader(refusal)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := to(t, nil, "http://orders:80")
			u.transports.dialTCP = func(context.Context, string, string) (net.Conn, error) {
				t.Error("a connection is made")
				return nil, net.ErrClosed
			}
			s := request("POST", "/", "hello")
			s.Body = io.NopCloser(tt.body)
			_, err := u.RoundTrip(s.Request)
			if tt.kind == "" {
				if err != refusal {
					t.Errorf("error = %v, want the refusal itself", err)
				}
			} else if got := kindOf(t, err); got != tt.kind {
				t.Errorf("kind = %q, want %q (%v)", got, tt.kind, err)
			}
			if u.InFlight() != 0 {
				t.Errorf("InFlight = %d, want 0", u.InFlight())
			}
		})
	}
}
