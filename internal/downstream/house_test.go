package downstream_test

import (
	"bytes"
	"context"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sidecar/internal/downstream"
)

// server is what both of them are.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// maker makes the server that s describes.
type maker func(s *http.Server) server

func standard(s *http.Server) server { return s }

func lane(s *http.Server) server { return downstream.New(s) }

// eachServer runs test with net/http's server, which says what is right, and
// with the lane.
func eachServer(t *testing.T, test func(t *testing.T, by maker)) {
	t.Helper()
	t.Run("net-http", func(t *testing.T) { test(t, standard) })
	t.Run("lane", func(t *testing.T) { test(t, lane) })
}

// patience is how long is waited for what should come at once.
const patience = 20 * time.Second

type baseKey struct{}

// house is a server whose handler does for each client what that one's visit
// says.
type house struct {
	address  string
	server   server
	settings *http.Server
	log      journal
	visits   sync.Map // by the client's address
	sockets  sync.Map // our end of each connection, by the client's address
}

// open opens a house; change may be nil.
func open(t testing.TB, by maker, change func(*http.Server)) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{address: l.Addr().String()}
	h.log.more = sync.NewCond(&h.log.mu)
	h.settings = &http.Server{
		Handler:           h,
		ErrorLog:          log.New(&h.log, "", 0),
		ReadHeaderTimeout: time.Hour,
		IdleTimeout:       time.Hour,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), baseKey{}, "base")
		},
	}
	if change != nil {
		change(h.settings)
	}
	h.server = by(h.settings)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.server.Serve(watched{l, &h.sockets})
	}()
	t.Cleanup(func() {
		_ = h.server.Close()
		<-done
	})
	return h
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := h.visits.Load(r.RemoteAddr)
	if !ok {
		panic("nobody comes from " + r.RemoteAddr)
	}
	v.(*visit).receive(w, r)
}

// watched keeps what it accepts.
type watched struct {
	net.Listener
	sockets *sync.Map
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.sockets.Store(c.RemoteAddr().String(), c)
	}
	return c, err
}

// journal is a server's log.
type journal struct {
	mu   sync.Mutex
	more *sync.Cond
	text []string // the first line of each entry
}

func (j *journal) Write(entry []byte) (int, error) {
	line, _, _ := bytes.Cut(entry, []byte("\n"))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, string(line))
	j.more.Broadcast()
	return len(entry), nil
}

// take waits for n entries about panics, and returns all there are, without
// the client's address.
func (j *journal) take(n int, client string) (entries []string) {
	late := time.AfterFunc(patience, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.text = append(j.text, strings.Repeat("panic serving is missing\n", n))
		j.more.Broadcast()
	})
	defer late.Stop()
	j.mu.Lock()
	defer j.mu.Unlock()
	for strings.Count(strings.Join(j.text, "\n"), "panic serving") < n {
		j.more.Wait()
	}
	for _, line := range j.text {
		entries = append(entries, strings.ReplaceAll(line, client, "CLIENT"))
	}
	j.text = nil
	return entries
}
