package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// problem is the document that answers a client (RFC 9457). It names the
// policy that decided, and nothing that is behind the proxy.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Instance  string `json:"instance,omitempty"`
	Reason    Reason `json:"reason"`
	Policy    string `json:"policy,omitempty"`
	RequestID string `json:"requestId,omitempty"`

	// Errors are as in the example of RFC 9457 section 3.
	Errors     []Violation `json:"errors,omitempty"`
	MoreErrors int         `json:"moreErrors,omitempty"`

	// Violated belongs to the type quotaExceeded.
	Violated []string `json:"violated-policies,omitempty"`
}

// Response returns f as the answer to r: a problem document or, for a gRPC
// call, a status without a message ("trailers-only").
func (f *Refusal) Response(r *http.Request, requestID string) *http.Response {
	a := f.Reason.Answer()
	switch {
	case f.Ready == nil:
	case !IsGRPC(r):
		return NewResponse(r, f.Ready.Status, f.Ready.ContentType, f.Ready.Body, f.Header)
	case f.Ready.Status == http.StatusUnauthorized:
		a.GRPC = grpcUnauthenticated
	}
	return f.ResponseAs(a, r, requestID)
}

// ResponseAs is Response with another answer than the reason's own.
func (f *Refusal) ResponseAs(a Answer, r *http.Request, requestID string) *http.Response {
	if IsGRPC(r) {
		return GRPCResponse(r, a.GRPC, f.message(a), f.Header)
	}
	doc := problem{
		Type: a.Type, Title: a.Title, Status: a.Status, Detail: f.Detail,
		Reason: f.Reason, RequestID: requestID, Instance: instance(requestID), Violated: f.Spent,
		Errors: f.Errors, MoreErrors: f.MoreErrors,
	}
	if f.Policy != "" {
		doc.Policy = f.Kind + "/" + f.Policy
	}
	body, err := json.Marshal(doc)
	if err != nil { // strings and numbers always marshal
		body = nil
	}
	return NewResponse(r, a.Status, "application/problem+json", body, f.Header)
}

// instance returns the URI of this one occurrence (RFC 9457 section 3.1.5); ""
// for a request id that a peer chose and that is no UUID (RFC 9562 section 4).
func instance(requestID string) string {
	if len(requestID) != 36 {
		return ""
	}
	for i, c := range []byte(requestID) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if dash && c != '-' || !dash && !hex {
			return ""
		}
	}
	return "urn:uuid:" + requestID
}

func (f *Refusal) message(a Answer) string {
	if f.Detail == "" {
		return a.Title
	}
	return a.Title + ": " + f.Detail
}

// NewResponse returns a response of our own making to r, with h added to its
// header. A response to HEAD tells the length of body but does not carry it.
func NewResponse(r *http.Request, status int, contentType string, body []byte, h http.Header) *http.Response {
	resp := &http.Response{
		Status:        fmt.Sprintf("%d %s", status, http.StatusText(status)),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        h.Clone(),
		Body:          http.NoBody,
		ContentLength: int64(len(body)),
		Request:       r,
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if contentType != "" {
		resp.Header.Set("Content-Type", contentType)
	}
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp
}

// GRPCResponse returns a gRPC call's end as a response to r: HTTP 200, the
// status in the header and no body
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses).
func GRPCResponse(r *http.Request, code int, message string, h http.Header) *http.Response {
	resp := NewResponse(r, http.StatusOK, "application/grpc", nil, h)
	resp.Header.Del("Content-Length")
	resp.Header.Set("Grpc-Status", strconv.Itoa(code))
	resp.Header.Set("Grpc-Message", percentEncode(message))
	return resp
}

// percentEncode writes s as grpc-message wants it: printable ASCII but '%'
// stays, every other byte becomes %XX.
func percentEncode(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
