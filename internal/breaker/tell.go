package breaker

import (
	"time"

	"github.com/sony/gobreaker/v2"

	"sidecar/internal/exchange"
)

// note keeps an event for tellNews.
func (s *State) note(from, to, detail string) {
	s.news = append(s.news, s.event(from, to, detail))
}

func (s *State) event(from, to, detail string) exchange.Event {
	shadow := s.config.Mode == exchange.ModeShadow
	if shadow {
		detail += "; in shadow, nothing is refused"
	}
	return exchange.Event{
		Time: time.Now(), Kind: exchange.CircuitBreaker, Name: s.name,
		From: from, To: to, Detail: detail,
		Bad: to == gobreaker.StateOpen.String() && !shadow, Shadow: shadow,
	}
}

// tellNews tells what there is to tell. Whoever finds another telling leaves it
// to them, and waits for nothing.
func (s *State) tellNews() {
	for s.hasNews() && s.telling.TryLock() {
		s.tellAll()
	}
}

func (s *State) hasNews() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.news) > 0
}

func (s *State) tellAll() {
	defer s.telling.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.news) > 0 {
		s.tellFirst()
	}
}

// tellFirst tells the first of the news, with s.mu let go. s.telling is held.
func (s *State) tellFirst() {
	e := s.news[0]
	s.news = s.news[1:]
	s.mu.Unlock()
	defer s.mu.Lock()
	_ = s.tell(e) // it has happened already
}
