package concurrency

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNobodyOvertakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewState("small@orders", config())
		s.force()
		go func() { _, _, _ = s.wait(t.Context(), normal, time.Time{}) }()
		synctest.Wait()
		s.inFlight.Add(-1) // the place is free, and has not been given away yet
		if _, ok := s.enter(); ok {
			t.Error("a newcomer has the place, want the one who waits to have it")
		}
		s.serve()
	})
}

// Whoever leaves the queue just as it is given a place gives that back.
func TestAPlaceThatComesTooLateIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewState("small@orders", config())
		for range 50 { // which of the two it sees is chance
			s.force()
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if n, _, _ := s.wait(ctx, normal, time.Time{}); n > 0 {
					s.leave()
				}
			}()
			synctest.Wait()
			cancel()
			s.leave()
			synctest.Wait()
			if st := s.Status(); st.InFlight != 0 || st.Queued != 0 {
				t.Fatalf("%d in flight, %d queued, want none", st.InFlight, st.Queued)
			}
		}
	})
}

// Who has no time to wait takes nobody's place to wait in.
func TestWhoIsTooLateEvictsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(shedFirst("batch")))
		b.send("first")
		b.send("batch", class("batch"))
		b.send("more batch", class("batch"))
		b.send("too late", before(0))
		b.want("too late queue_timeout")
		b.finish()
	})
}

// A place that comes free while somebody begins to wait is not lost: the one who
// leaves may not have seen them.
func TestWhoBeginsToWaitLooksAgain(t *testing.T) {
	s := NewState("small@orders", config())
	s.force()
	first, _ := s.join(normal, time.Second)
	s.inFlight.Add(-1)
	s.join(normal, time.Second)
	select {
	case got := <-first.decided:
		if got.n != 1 {
			t.Errorf("the first to wait is the %d-th in flight, want 1", got.n)
		}
	default:
		t.Error("nobody has the place, want the first to wait to have it")
	}
}

func TestNoPlaceIsLostBetweenTwo(t *testing.T) {
	s := NewState("small@orders", config(func(c *Config) { c.Queue.MaxWait = 10 * time.Second }))
	for range 5_000 {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if _, ok := s.enter(); !ok {
					if _, why, _ := s.wait(t.Context(), normal, time.Time{}); why != nil {
						t.Errorf("refused: %s, want a place", why.detail)
						return
					}
				}
				s.leave()
			})
		}
		both.Wait()
		if t.Failed() {
			return
		}
	}
	if st := s.Status(); st.InFlight != 0 || st.Queued != 0 {
		t.Errorf("%d in flight, %d queued, want none", st.InFlight, st.Queued)
	}
}
