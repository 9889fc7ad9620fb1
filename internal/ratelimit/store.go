package ratelimit

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// Store is where several processes share buckets. It is state that survives a
// reload, and safe for concurrent use. It connects when it is first asked.
type Store struct {
	name   string
	config StoreConfig
	open   func() (backend, error)
	pause  pause
	calls  calls

	mu      sync.Mutex // guards all below
	backend backend    // nil before the first call, and after the last
	users   int        // calls under way
	closed  bool
}

// backend is a kind of store. Its methods return once ctx is done; they may be
// called from many goroutines at once.
type backend interface {
	take(ctx context.Context, q question) (answer, error)
	// giveBack undoes a take of a moment ago. part is what its answer said.
	giveBack(ctx context.Context, q question, part int64) error
	// probe makes a call that is like a take and counts for nobody.
	probe(ctx context.Context) error
	close()
}

// question is what a store is asked.
type question struct {
	*remote
	key      key
	patience time.Duration
}

// answer is what a store says.
type answer struct {
	ok     bool
	known  bool // what level says
	level  level
	delay  time.Duration // until its turn
	part   int64
	header []exchange.Field // for the client
}

// NewStore returns the store called name. c must be valid. tlsConfig is how it
// is called; nil is without TLS. tell hears when asking begins to fail and when
// it works again; it may come from any goroutine.
func NewStore(name string, c StoreConfig, password string, tlsConfig *tls.Config, tell func(exchange.Event)) *Store {
	open := func() (backend, error) { return newRedis(c, password, tlsConfig), nil }
	if c.IsService() {
		open = func() (backend, error) { return newService(c, tlsConfig) }
	}
	return newStore(name, c, open, tell)
}

func newStore(name string, c StoreConfig, open func() (backend, error), tell func(exchange.Event)) *Store {
	return &Store{name: name, config: c, open: open, pause: pause{name: name, line: c.Line, tell: tell}}
}

// Name returns what the policy file calls s.
func (s *Store) Name() string { return s.name }

// Close ends the connections of s, after the calls that are under way.
// Requests that still come are still counted.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	idle := s.idle()
	s.mu.Unlock()
	if idle != nil {
		idle.close()
	}
}

// acquire returns what a call is made with, until release.
func (s *Store) acquire() (backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend == nil {
		b, err := s.open()
		if err != nil {
			return nil, err
		}
		s.backend = b
	}
	s.users++
	return s.backend, nil
}

func (s *Store) release() {
	s.mu.Lock()
	s.users--
	idle := s.idle()
	s.mu.Unlock()
	if idle != nil {
		idle.close()
	}
}

// idle returns what is to be closed: nobody will use it any more. s.mu is held.
func (s *Store) idle() backend {
	if !s.closed || s.users > 0 || s.backend == nil {
		return nil
	}
	b := s.backend
	s.backend = nil
	return b
}

// call has f ask, unless the store fails just now. The call does not end with
// the request: what a client that leaves has spent must be known, and a
// connection that is cut in the middle is of no use to the next.
func (s *Store) call(f func(context.Context, backend) error) error {
	if err := s.pause.ask(s.probe); err != nil {
		s.calls.skipped.Add(1)
		return err
	}
	begin := time.Now()
	err := s.once(f)
	s.calls.done(time.Since(begin), err)
	s.pause.heard(err)
	return err
}

// once makes one call.
func (s *Store) once(f func(context.Context, backend) error) error {
	b, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.release()
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout)
	defer cancel()
	err = f(ctx, b)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errors.New("no answer within " + s.config.Timeout.String())
	}
	return errors.New(unquoted(err))
}

// maxTold is more than any store has to say.
const maxTold = 256

// unquoted returns the text of err without what it quotes, in any way of quoting: a
// Redis that does not know AUTH repeats the password.
func unquoted(err error) string {
	text := err.Error()
	if i := strings.IndexAny(text, "\"'`"); i >= 0 {
		text = text[:i] + `"..."`
	}
	return text[:min(len(text), maxTold)]
}

// probe asks whether the store is back.
func (s *Store) probe() error {
	begin := time.Now()
	err := s.once(func(ctx context.Context, b backend) error { return b.probe(ctx) })
	s.calls.done(time.Since(begin), err)
	return err
}

// StoreStatus is how asking a store goes.
type StoreStatus struct {
	Name    string
	Problem string // why it is not asked just now; empty if it is

	Answered, Failed, Skipped uint64 // calls, since it was made

	// Took is how many of the calls, answered or failed, took no longer than so
	// many seconds, and TookSum what all of them took.
	Took    map[float64]uint64
	TookSum float64
}

// Status returns how asking s goes.
func (s *Store) Status() StoreStatus {
	st := s.calls.status()
	st.Name, st.Problem = s.name, s.pause.problem()
	return st
}
