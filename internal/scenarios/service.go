package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// service is an upstream that can be made to behave in other ways.
type service struct {
	server *http.Server
	port   string // it comes back to the same
	url    string
	now    atomic.Pointer[behaviour]
}

// behaviour is what a service does with a call, and how many it has had.
type behaviour struct {
	calls atomic.Int64
	since time.Time
	serve http.HandlerFunc
}

func newService() (*service, error) {
	s := &service{}
	s.does(well)
	if err := s.listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *service) listen(at string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	s.port, s.url = l.Addr().String(), "http://"+l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := s.now.Load()
		b.calls.Add(1)
		b.serve(w, r)
	})}
	go func() { _ = s.server.Serve(l) }()
	return nil
}

// does has s behave so from now on. What it returns counts the calls of that time.
func (s *service) does(serve http.HandlerFunc) *behaviour {
	b := &behaviour{since: time.Now(), serve: serve}
	s.now.Store(b)
	return b
}

// dies resets its connections, and takes no more.
func (s *service) dies() { _ = s.server.Close() }

func well(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") }

func broken(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// failing fails a share of calls.
func failing(share float64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if rand.Float64() < share {
			broken(w, r)
			return
		}
		well(w, r)
	}
}

// hanging answers nobody.
func hanging(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// slow takes its time.
func slow(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		well(w, r)
	}
}
