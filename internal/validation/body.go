package validation

import (
	"fmt"
	"io"
	"net/http"

	"sidecar/internal/exchange"
)

// checkBody refuses a body that says it is too large, and bounds one that does
// not say.
func (v *Validation) checkBody(r *http.Request) error {
	if v.maxBody == 0 || unbounded(r) {
		return nil
	}
	if r.ContentLength > v.maxBody {
		return v.tooLarge()
	}
	if r.ContentLength < 0 && r.Body != nil && r.Body != http.NoBody {
		r.Body = &limiter{
			ReadCloser: r.Body,
			left:       v.maxBody,
			overrun:    v.tooLarge(),
			record:     exchange.From(r.Context()),
		}
	}
	return nil
}

func (v *Validation) tooLarge() *exchange.Refusal {
	return v.refuse(exchange.BodyTooLarge, fmt.Sprintf("at most %d bytes are accepted", v.maxBody), "", "")
}

// unbounded reports whether r is a stream rather than a document: a gRPC call,
// which HTTP/2 alone carries; or a content type would be all it takes to post
// without a bound. What follows an upgrade is no body, and the body of the
// handshake, if it has one, is a document like any other.
func unbounded(r *http.Request) bool { return r.ProtoMajor == 2 && exchange.IsGRPC(r) }

// limiter is a body that ends in overrun where it has more than left bytes.
// Like any body, it is read by one goroutine at a time.
type limiter struct {
	io.ReadCloser
	left    int64
	overrun *exchange.Refusal
	record  *exchange.Record
	err     error // of the last Read; it stands
}

// Read delivers what may be read and tells the record of an overrun.
func (l *limiter) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	// One byte more than is left shows an overrun, and is not delivered.
	if int64(len(p))-1 > l.left {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), l.overrun
		l.record.BlameClient(l.overrun)
	}
	l.left -= int64(n)
	l.err = err
	return n, err
}
