package faults

import (
	"errors"
	"fmt"
	"time"

	"sidecar/internal/exchange"
)

// What a Switch says of a fault that cannot be held.
var (
	ErrActive = errors.New("is on already: what is measured would not be what it is without it")
	ErrShadow = errors.New("mode is shadow in the policy: it would break nothing")
)

// Hold is a fault that somebody has switched on and watches over. It is safe for
// concurrent use.
type Hold struct {
	toggles *Switch
	name    string
	before  *word
	word    *word
	over    <-chan struct{}
}

// Hold switches a fault on as On does, for somebody who watches over it. The
// error may also be ErrActive or ErrShadow.
func (s *Switch) Hold(name string, t Toggle, who exchange.Who) (*Hold, error) {
	h := &Hold{toggles: s, name: name}
	_, err := s.change(name, who, func(f fault, now time.Time) (w *word, err error) {
		if err := f.free(now); err != nil {
			return nil, err
		}
		h.before = f.word
		h.word, err = f.switchedOn(t, who, now)
		return h.word, err
	})
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	h.over = over
	if f := s.faults[name]; f != nil && f.term != nil && f.term.word == h.word {
		h.over = f.term.over.Done()
	}
	return h, nil
}

// over is the end of what has ended.
var over = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Try says with what error Hold would fail now; nil if it would not.
func (s *Switch) Try(name string, t Toggle) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := time.Now()
	f := s.faults[name]
	err := ErrUnknown
	if f != nil {
		if err = f.free(now); err == nil {
			_, err = f.switchedOn(t, exchange.Who{}, now)
		}
	}
	if err != nil {
		return fmt.Errorf("fault %q: %w", name, err)
	}
	return nil
}

// free says why f cannot be held.
func (f *fault) free(now time.Time) error {
	switch {
	case f.active(now):
		return ErrActive
	case f.config.Mode == exchange.ModeShadow:
		return ErrShadow
	}
	return nil
}

// Over is closed when the fault is no longer on by h, or not as it was: it has
// expired, somebody has switched it off or changed it, or the policy has, or does
// not have it any more.
func (h *Hold) Over() <-chan struct{} { return h.over }

// Injected returns how many attempts the fault has broken by h.
func (h *Hold) Injected() uint64 { return h.word.injected.Load() }

// Release puts the fault back to where it was before h, and says why, unless it
// is no longer h's. It cannot fail: an audit file that takes no lines keeps no
// fault on.
func (h *Hold) Release(why string) {
	h.toggles.end(h.name, func(f *fault) bool { return f.word == h.word && f.active(time.Now()) }, h.before, why, false)
}
