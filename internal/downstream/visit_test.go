package downstream_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// seen is all that a handler sees of a request, and of what it does.
type seen struct {
	Method, RequestURI, Proto, Host string
	Major, Minor                    int
	URL                             url.URL
	Header, Trailer                 http.Header
	Length                          int64
	Coding                          []string
	Close, NoBody                   bool
	Strange                         []string // what no request should have
	Body                            string   // what the handler read of it
	Left                            bool     // there was more
	Did                             []string // what came of each thing that it did
	TrailerAfter                    http.Header
	Over                            string // the context's error when all is over
}

// visit is one client's connection, as the handler sees it.
type visit struct {
	house *house
	does  program

	handling sync.Mutex // held while the handler is called

	mu       sync.Mutex
	seen     []*seen
	contexts []context.Context
	panics   int // those that are logged
}

// probe is asked for after what is tested: whether it is answered shows what
// became of the connection.
const (
	probe     = "/probe"
	askProbe  = "GET " + probe + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	askBefore = "GET /before?a=b HTTP/1.1\r\nHost: x\r\n\r\n"
)

func (v *visit) receive(w http.ResponseWriter, r *http.Request) {
	v.handling.Lock()
	defer v.handling.Unlock()
	s := v.enter(r)
	t := &turn{w: w, r: r, control: http.NewResponseController(w), seen: s}
	if v.does.duplex() {
		t.did("full duplex", t.control.EnableFullDuplex())
	}
	defer func() {
		s.TrailerAfter = r.Trailer.Clone()
		s.Left = int64(len(s.Body)) < s.Length
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				v.mu.Lock()
				v.panics++
				v.mu.Unlock()
			}
			panic(p)
		}
	}()
	if r.URL != nil && r.URL.Path == probe {
		_, _ = w.Write([]byte("the probe"))
		return
	}
	v.does.run(t)
}

// enter writes down what can be seen of r.
func (v *visit) enter(r *http.Request) *seen {
	s := &seen{
		Method: r.Method, RequestURI: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Major: r.ProtoMajor, Minor: r.ProtoMinor,
		URL: *r.URL, Header: r.Header.Clone(), Trailer: r.Trailer.Clone(),
		Length: r.ContentLength, Coding: r.TransferEncoding,
		Close: r.Close, NoBody: r.Body == http.NoBody,
	}
	ctx := r.Context()
	local, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	_, hurry := ctx.Deadline()
	done := ctx.Done()
	for what, is := range map[string]bool{
		"no body":          r.Body == nil,
		"TLS":              r.TLS != nil,
		"form":             r.Form != nil || r.PostForm != nil || r.MultipartForm != nil,
		"pattern":          r.Pattern != "",
		"client's fields":  r.GetBody != nil || r.Response != nil,
		"a wrong server":   ctx.Value(http.ServerContextKey) != v.house.settings,
		"a wrong address":  local == nil || local.String() != v.house.address,
		"a wrong base":     ctx.Value(baseKey{}) != "base",
		"a deadline":       hurry,
		"a foreign value":  ctx.Value("nobody set it") != nil,
		"no end to wait":   done == nil,
		"a context anew":   r.Context() != ctx || ctx.Done() != done,
		"a changing value": ctx.Value(http.LocalAddrContextKey) != net.Addr(local),
	} {
		if is {
			s.Strange = append(s.Strange, what)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen, v.contexts = append(v.seen, s), append(v.contexts, ctx)
	return s
}

// leave returns all that was seen, once the connection has ended.
func (v *visit) leave() (all []seen) {
	v.handling.Lock()
	defer v.handling.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, s := range v.seen {
		late := time.NewTimer(patience)
		select {
		case <-v.contexts[i].Done():
			s.Over = v.contexts[i].Err().Error()
		case <-late.C:
			s.Over = "not over"
		}
		late.Stop()
		all = append(all, *s)
	}
	return all
}
