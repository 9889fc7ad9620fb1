package admin

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// How many wrong credentials an address may show, in which time, and how many
// addresses are remembered.
const (
	maxStrikes   = 10
	strikeWindow = time.Minute
	maxStrikers  = 1000
)

// strikes remembers who showed wrong credentials. The zero value is ready. It
// is safe for concurrent use.
type strikes struct {
	mu sync.Mutex // guards by
	by map[netip.Prefix]strike
}

type strike struct {
	first time.Time
	count int
}

// wait returns how long the address of r is not heard.
func (s *strikes) wait(r *http.Request) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.by[striker(r)]; st.count >= maxStrikes {
		return max(0, strikeWindow-time.Since(st.first))
	}
	return 0
}

// add counts a wrong credential, and returns how many there were.
func (s *strikes) add(r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, now := striker(r), time.Now()
	st, known := s.by[from]
	if !known || now.Sub(st.first) >= strikeWindow {
		if !known {
			s.makeRoom(now)
		}
		st = strike{first: now}
	}
	st.count++
	s.by[from] = st
	return st.count
}

// makeRoom forgets those whose time is over and, if none is, the one who was
// first.
func (s *strikes) makeRoom(now time.Time) {
	if s.by == nil {
		s.by = map[netip.Prefix]strike{}
	}
	if len(s.by) < maxStrikers {
		return
	}
	var oldest netip.Prefix
	for from, st := range s.by {
		if now.Sub(st.first) >= strikeWindow {
			delete(s.by, from)
		} else if o, ok := s.by[oldest]; !ok || st.first.Before(o.first) {
			oldest = from
		}
	}
	if len(s.by) >= maxStrikers {
		delete(s.by, oldest)
	}
}

// striker returns whom r counts for.
func striker(r *http.Request) netip.Prefix {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // else all together
	return exchange.NetworkOf(at.Addr())
}
