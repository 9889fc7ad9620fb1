package concurrency

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"sidecar/internal/exchange"
)

// hold keeps the place of an answered call until the body of resp has ended,
// and reports whether it does: of a call that may go on for ever only the
// beginning counts.
func (s *State) hold(r *http.Request, resp *http.Response) bool {
	if resp.Body == nil || resp.Body == http.NoBody || endless(r, resp) {
		return false
	}
	resp.Body = &body{ReadCloser: resp.Body, state: s}
	return true
}

// endless reports whether the answer is a stream without an end of its own. A
// gRPC call cannot be told from one, and an ordinary one ends with its first
// message, which comes with the headers. It is the answer that must be one:
// anybody can call a request gRPC, and would hold no place for its download.
func endless(r *http.Request, resp *http.Response) bool {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return true
	}
	kind := strings.ToLower(resp.Header.Get("Content-Type"))
	if exchange.IsGRPC(r) && strings.HasPrefix(kind, "application/grpc") {
		return true
	}
	kind, _, _ = strings.Cut(kind, ";")
	return strings.TrimSpace(kind) == "text/event-stream"
}

// body is a response's body whose end is the end of the call.
type body struct {
	io.ReadCloser
	state *State
	ended atomic.Bool
}

// Read reads from the body. Its end, or its failure, is the end of the call.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

// Close closes the body.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

func (b *body) end() {
	if !b.ended.Swap(true) {
		b.state.leave()
	}
}
