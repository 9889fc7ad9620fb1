package validation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"sidecar/internal/exchange"
)

// hold reads the body of r whole, and says what is wrong with it. The body is
// then read from memory: the same bytes, of the same length, known or unknown.
func (i *inspection) hold(r *http.Request) error {
	data, err := i.read(r)
	if err != nil {
		return err
	}
	s := &share{buffers: i.buffers}
	defer s.free()
	if f := i.judge(data, s); f != nil {
		return f
	}
	return nil
}

func (i *inspection) read(r *http.Request) ([]byte, error) {
	if h, ok := r.Body.(*held); ok { // by a policy before this one
		if int64(len(h.data)) > i.maxBody {
			return nil, i.tooLarge()
		}
		return h.data, nil
	}
	s := &share{buffers: i.buffers}
	data, err := readUpTo(r.Body, i.maxBody, r.ContentLength, s)
	if err != nil {
		s.free()
		return nil, i.unread(r, err)
	}
	// The upstream may go on reading as long as the request lasts.
	context.AfterFunc(r.Context(), s.free)
	r.Body = &held{Reader: bytes.NewReader(data), data: data}
	return data, nil
}

// unread returns why a body was not read to its end.
func (i *inspection) unread(r *http.Request, err error) error {
	switch {
	case errors.Is(err, errFull):
		return i.full()
	case errors.Is(err, errExpands):
		f := i.tooLarge()
		exchange.From(r.Context()).BlameClient(f) // what is left of it is not worth reading
		return f
	}
	return err
}

// held is a body in memory.
type held struct {
	*bytes.Reader
	data []byte
}

// Close does nothing: another attempt may follow.
func (*held) Close() error { return nil }

// watch has the body of r looked into while others read it, and notes what is
// wrong with it. It holds back nothing.
func (i *inspection) watch(r *http.Request) {
	s := &share{buffers: i.buffers}
	context.AfterFunc(r.Context(), s.free)
	r.Body = &watched{
		ReadCloser: r.Body, inspection: i, share: s, expect: r.ContentLength,
		record: exchange.From(r.Context()),
	}
}

// watched is a body that is looked into once it has been read. Like any body,
// it is read by one goroutine at a time.
type watched struct {
	io.ReadCloser
	*inspection
	share  *share
	expect int64 // -1 if unknown
	record *exchange.Record
	data   []byte
	done   bool
}

// Read delivers what there is.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if !w.done {
		w.collect(p[:n])
		// Some do not read on when they have what was announced.
		if !w.done && (err == io.EOF || int64(len(w.data)) == w.expect) {
			w.end(w.judge(w.data, w.share))
		}
	}
	return n, err
}

func (w *watched) collect(p []byte) {
	switch {
	case int64(len(w.data)+len(p)) > w.maxBody:
		w.end(w.tooLarge())
	case !w.share.take(int64(len(p))):
		w.end(w.full())
	default:
		w.data = append(w.data, p...)
	}
}

// end notes what is wrong, if anything, and forgets the body.
func (w *watched) end(f *exchange.Refusal) {
	if f != nil {
		w.record.Note(f.Shadowed())
	}
	w.done, w.data = true, nil
	w.share.free()
}
