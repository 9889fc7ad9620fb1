package validation

import (
	"fmt"
	"io"
	"net/http"

	"sidecar/internal/exchange"
)

// checkBody refuses a body that says it is too large, looks into one as i says,
// and bounds one that does not say how large it is. A gRPC call is a stream,
// not a document, unless it says that it is one as well. What follows an upgrade is no body; that of the handshake, if
// it has one, is looked at like any other.
func (v *Validation) checkBody(r *http.Request, i *inspection) error {
	if v.maxBody == 0 || r.ContentLength == 0 || i == nil && exchange.IsGRPC(r) {
		return nil
	}
	if r.ContentLength > v.maxBody {
		return v.tooLarge()
	}
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case i != nil && v.shadow:
		i.watch(r)
	case i != nil:
		return i.hold(r)
	case r.ContentLength < 0:
		r.Body = &limiter{
			ReadCloser: r.Body,
			left:       v.maxBody,
			overrun:    v.tooLarge(),
			shadow:     v.shadow,
			record:     exchange.From(r.Context()),
		}
	}
	return nil
}

func (v *Validation) full() *exchange.Refusal {
	return v.refuse(exchange.BuffersFull, "", "Retry-After", "1")
}

func (v *Validation) tooLarge() *exchange.Refusal {
	return v.refuse(exchange.BodyTooLarge, fmt.Sprintf("at most %d bytes are accepted", v.maxBody), "", "")
}

// limiter is a body that ends in overrun where it has more than left bytes.
// In shadow it only notes it. Like any body, it is read by one goroutine at a
// time.
type limiter struct {
	io.ReadCloser
	left    int64
	overrun *exchange.Refusal
	shadow  bool
	record  *exchange.Record
	err     error // of the last Read; it stands
}

// Read delivers what may be read and tells the record of an overrun.
func (l *limiter) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.shadow {
		return l.pass(p)
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

// pass delivers all there is.
func (l *limiter) pass(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if within := l.left >= 0; within && int64(n) > l.left {
		l.record.Note(l.overrun.Shadowed())
	}
	l.left -= int64(n)
	l.err = err
	return n, err
}
