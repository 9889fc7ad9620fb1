package upstream

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"time"

	"sidecar/internal/exchange"
)

// maxInterim is how many 1xx heads may come before the response. Whoever hears
// of them has no limit in bytes, as with net/http.
const maxInterim = 100

// errNotQuiet: the other side has ended an idle connection, or written what
// would be taken for the answer to the next request.
var errNotQuiet = errors.New("something has come over an idle connection")

// exchange sends text, which is r, the attempt a, and reads the head of the response, within d
// if that is not 0. After an error w has ended.
func (w *wire) exchange(r *http.Request, a *exchange.Attempt, text []byte, d time.Duration) (*http.Response, error) {
	w.begin(r.Context())
	if w.reused {
		sent, quiet := w.ask(text, d == 0)
		if !quiet {
			w.end(false)
			return nil, errNotQuiet
		}
		w.wrote = sent > 0
		text = text[sent:]
	}
	var failed error
	if len(text) > 0 {
		_, failed = w.Write(text)
	}
	if failed != nil && !w.wrote {
		w.end(false)
		return nil, failed
	}
	w.listen() // no earlier: until now it has waited
	// An upstream may answer and close before it has read all.
	resp, err := w.responseWithin(r, a, d)
	if err != nil {
		w.end(false)
		if failed != nil {
			err = failed
		}
		return nil, err
	}
	keep := failed == nil && !resp.Close && resp.StatusCode > 199
	if resp.Body == http.NoBody {
		w.end(keep)
		return resp, nil
	}
	s, ok := resp.Body.(*stream) // a plain answer's
	if !ok {
		s = &stream{body: resp.Body, left: resp.ContentLength}
		resp.Body = s
	}
	s.ctx, s.wire, s.keep = r.Context(), w, keep
	return resp, nil
}

// responseWithin is response with a bound in time; 0 is none.
func (w *wire) responseWithin(r *http.Request, a *exchange.Attempt, d time.Duration) (*http.Response, error) {
	if d == 0 {
		return w.response(r, a)
	}
	_ = w.Conn.SetReadDeadline(time.Now().Add(d))
	if r.Context().Err() != nil {
		w.interrupt() // it may have come before, and its deadline is gone
	}
	resp, err := w.response(r, a)
	if err != nil {
		if w.late = errors.Is(err, os.ErrDeadlineExceeded) && r.Context().Err() == nil; w.late {
			err = errHeaderTimeout
		}
		return nil, err
	}
	_ = w.Conn.SetReadDeadline(time.Time{})
	if err := r.Context().Err(); err != nil {
		return nil, err // an interrupt that came before is gone, and there is no second one
	}
	return resp, nil
}

// response reads heads up to that of the final response, which a 101 is too.
func (w *wire) response(r *http.Request, a *exchange.Attempt) (*http.Response, error) {
	if _, err := w.in.Peek(1); err != nil {
		return nil, err
	}
	resp, beside := w.plain(r, a), "close"
	if resp == nil {
		var err error
		if resp, err = w.oddResponse(r); err != nil {
			return nil, err
		}
		beside, w.limit = string(w.head.options), math.MaxInt64
	}
	stripNamed(resp, beside)
	return resp, nil
}

// oddResponse is response for a head that net/http has to read.
func (w *wire) oddResponse(r *http.Request) (*http.Response, error) {
	w.narrow()
	w.head.reset()
	w.odd, w.limit = true, maxResponseHeader
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(w.in, r)
		if err != nil {
			return nil, err
		}
		if !interim(resp.StatusCode) {
			return resp, nil
		}
		trace := httptrace.ContextClientTrace(r.Context())
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
			w.limit = maxResponseHeader
		}
	}
	return nil, errors.New("too many interim responses")
}

func interim(status int) bool {
	return 100 <= status && status <= 199 && status != http.StatusSwitchingProtocols
}
