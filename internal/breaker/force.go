package breaker

import (
	"fmt"

	"github.com/sony/gobreaker/v2"

	"sidecar/internal/exchange"
)

// Force holds the breaker "open" or "closed", or returns it to "auto": closed,
// with nothing counted yet. who asked is told in the Event, before it is done;
// where that cannot be told, the error says so and nothing has changed. A word
// that changes nothing is no event.
func (s *State) Force(state string, who exchange.Who) error {
	if state != "open" && state != "closed" && state != "auto" {
		return fmt.Errorf("state must be open, closed or auto, got %q", state)
	}
	defer s.tellNews()
	s.telling.Lock() // one at a time: what is told is what is done
	defer s.telling.Unlock()

	e, changes := s.forcing(state, who)
	if !changes {
		return nil
	}
	if err := s.tell(e); err != nil {
		return fmt.Errorf("circuit breaker %q is unchanged: %w", s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What the machine of before did while this was told is over before anybody
	// heard of it.
	s.forced, s.closed, s.news = state != "auto", state == "closed", nil
	s.begin()
	return nil
}

// forcing returns what is to be told of that word, when all before it was told,
// and whether it changes anything. s.telling is held.
func (s *State) forcing(state string, who exchange.Who) (e exchange.Event, changes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.news) > 0 {
		s.tellFirst()
	}
	to, detail := state, "forced"
	if state == "auto" {
		to, detail = gobreaker.StateClosed.String(), "no longer forced"
	}
	changes = (state != "auto") != s.forced || (state == "closed") != s.closed
	e = s.event(s.stateWord(), to, detail)
	e.Who = who
	return e, changes
}
