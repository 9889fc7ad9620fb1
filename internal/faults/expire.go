package faults

import (
	"context"
	"time"

	"sidecar/internal/exchange"
)

// Run tells of each fault that ends because its time is over, when it does,
// until ctx ends. Without it they end all the same, and nobody hears.
func (s *Switch) Run(ctx context.Context) {
	ends := map[string]time.Time{} // of those that run, as far as is known
	for {
		var next <-chan time.Time
		if at := s.sweep(ends); !at.IsZero() {
			next = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.published:
		case <-next:
		}
	}
}

// sweep tells of those in ends whose time has come, brings ends up to date,
// and returns when the next one comes; zero for none.
func (s *Switch) sweep(ends map[string]time.Time) (next time.Time) {
	s.changing.Lock() // so that what is told stays in order
	defer s.changing.Unlock()
	s.mu.RLock()
	now := time.Now()
	var over []exchange.Event
	for name, f := range s.faults {
		at, ran := ends[name]
		switch {
		case f.active(now):
			ends[name] = f.expires()
			if next.IsZero() || f.expires().Before(next) {
				next = f.expires()
			}
			continue
		case ran && at.Equal(f.expires()): // nobody else has ended it
			over = append(over, exchange.Event{
				Time: now, Kind: exchange.Fault, Name: name, From: onOff(true), To: onOff(false),
				Detail: "its time is over", Line: f.config.Line, Shadow: f.config.Mode == exchange.ModeShadow,
			})
		}
		delete(ends, name)
	}
	for name := range ends {
		if s.faults[name] == nil {
			delete(ends, name) // a reload says so
		}
	}
	s.mu.RUnlock()
	for _, e := range over {
		_ = s.tell(e) // it has happened already
	}
	return next
}
