package faults

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

func isOver(h *Hold) bool {
	select {
	case <-h.Over():
		return true
	default:
		return false
	}
}

// However a hold ends, it says so.
func TestAHoldIsOver(t *testing.T) {
	f := policy("chaos", disabled)
	tests := []struct {
		name   string
		end    func(*Switch, *Hold)
		over   bool
		active bool // afterwards
	}{
		{"not yet", func(*Switch, *Hold) {}, false, true},
		{"when it is released", func(_ *Switch, h *Hold) { h.Release("") }, true, false},
		{"when its time is", func(*Switch, *Hold) { time.Sleep(time.Minute) }, true, false},
		{"when somebody switches the fault off", func(s *Switch, _ *Hold) { _, _ = s.Off("chaos", by("bob")) }, true, false},
		{"when somebody changes the fault, whose word it is then", func(s *Switch, h *Hold) {
			_, _ = s.On("chaos", Toggle{Duration: time.Minute}, by("bob")) // to the same end
			h.Release("")
		}, true, true},
		{"when the policy forgets the fault", func(s *Switch, _ *Hold) { s.Sync(nil) }, true, false},
		{"when the policy disables the fault", func(s *Switch, _ *Hold) {
			s.Sync([]Named{policy("chaos", func(c *Config) { disabled(c); c.Mode = exchange.ModeDisabled })})
		}, true, false},
		{"when the policy changes the fault", func(s *Switch, _ *Hold) {
			s.Sync([]Named{policy("chaos", func(c *Config) { disabled(c); c.Percent = 99 })})
		}, true, true},
		{"when the policy has the fault in shadow", func(s *Switch, _ *Hold) {
			s.Sync([]Named{policy("chaos", func(c *Config) { disabled(c); c.Mode = exchange.ModeShadow })})
		}, true, true},
		{"not with a reload that moves the fault", func(s *Switch, _ *Hold) {
			s.Sync([]Named{policy("chaos", func(c *Config) { disabled(c); c.Line = 99 })})
		}, false, true},
		{"not with a reload that keeps the fault", func(s *Switch, _ *Hold) { s.Sync([]Named{f}) }, false, true},
		{"not with another fault", func(s *Switch, _ *Hold) { _, _ = s.On("other", Toggle{}, by("bob")) }, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewSwitch(nil)
				s.Sync([]Named{f, policy("other", disabled)})
				h, err := s.Hold("chaos", Toggle{Duration: time.Minute}, by("ann"))
				if err != nil {
					t.Fatal(err)
				}
				if resp, _ := call("id", 1).send(t, New(s, []Named{f}), &upstream{}); resp.StatusCode != 503 || h.Injected() != 1 {
					t.Errorf("status %d, injected %d, want 503 and 1", resp.StatusCode, h.Injected())
				}
				tt.end(s, h)
				synctest.Wait()
				status, _ := s.Get("chaos")
				if isOver(h) != tt.over || status.Active != tt.active {
					t.Errorf("over = %v, fault active %v, want %v and %v", isOver(h), status.Active, tt.over, tt.active)
				}
			})
		})
	}
}

func TestHoldRefuses(t *testing.T) {
	shadow := policy("shadow", func(c *Config) { disabled(c); c.Mode = exchange.ModeShadow })
	gone := policy("gone", func(c *Config) { disabled(c); c.Mode = exchange.ModeDisabled })
	s := NewSwitch(nil)
	s.Sync([]Named{policy("on", enabled), policy("off", disabled), shadow, gone})
	for name, want := range map[string]error{"on": ErrActive, "shadow": ErrShadow, "gone": ErrDisabled, "none": ErrUnknown} {
		if err := s.Try(name, Toggle{}); !errors.Is(err, want) {
			t.Errorf("Try(%s) = %v, want %v", name, err, want)
		}
		if _, err := s.Hold(name, Toggle{}, by("ann")); !errors.Is(err, want) {
			t.Errorf("Hold(%s) = %v, want %v", name, err, want)
		}
	}
	if err := s.Try("off", Toggle{Percent: ptr(101.0)}); err == nil || err.Error() != `fault "off": percent: must be 0 to 100, got 101` {
		t.Errorf("Try of a bad toggle = %v", err)
	}
	if err := s.Try("off", Toggle{}); err != nil {
		t.Errorf("Try = %v, want none", err)
	}
	if got, _ := s.Get("off"); got.Active {
		t.Error("Try has switched the fault on")
	}
}

// An audit file that takes no lines keeps no fault on.
func TestAReleaseIsNotPrevented(t *testing.T) {
	var full error
	s, f := NewSwitch(func(exchange.Event) error { return full }), policy("chaos", disabled)
	s.Sync([]Named{f})
	h, err := s.Hold("chaos", Toggle{}, by("ann"))
	if err != nil {
		t.Fatal(err)
	}
	full = errors.New("full")
	h.Release("it is over")
	wantActive(t, s, f, false)
}

// What a fault holds up goes on when it is switched off.
func TestADelayEndsWithItsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := NewSwitch(nil), policy("slow", delays(time.Hour))
		s.Sync([]Named{f})
		if _, err := s.On("slow", Toggle{}, by("ann")); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _, _ = s.Off("slow", by("ann")) })
		up, start := &upstream{}, time.Now()
		resp, _ := call("id", 1).send(t, New(s, []Named{f}), up)
		if took := time.Since(start); resp.StatusCode != 200 || up.calls != 1 || took != time.Second {
			t.Errorf("status %d, %d calls, after %v, want 200, 1, 1s", resp.StatusCode, up.calls, took)
		}
	})
}

// Nothing is broken any more, and nothing counted, when the fault was switched
// off while a call was under way.
func TestWhatIsUnderWayEndsWithoutItsFault(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*Config)
		injected uint64
		noted    string
	}{
		{"an abort behind a delay", func(c *Config) { delays(time.Hour)(c); aborts(503)(c) }, 1, "chaos fault_delay 1h0m0s"},
		{"a body that comes later", bodyOf(Body{TruncateAfter: 1, Bandwidth: 1, Corrupt: 100}), 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f := NewSwitch(nil), policy("chaos", tt.change)
				s.Sync([]Named{f})
				h, err := s.Hold("chaos", Toggle{}, by("ann"))
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(time.Second, func() { h.Release("") })
				up, a := &upstream{}, call("id", 1)
				resp, text := a.send(t, New(s, []Named{f}), exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					time.Sleep(2 * time.Second)
					return up.RoundTrip(r)
				}))
				if resp.StatusCode != 200 || text != "real" || up.calls != 1 {
					t.Errorf("answer = %d %q after %d calls, want the upstream's", resp.StatusCode, text, up.calls)
				}
				if h.Injected() != tt.injected || a.reasons() != tt.noted {
					t.Errorf("injected %d, noted %q, want %d, %q", h.Injected(), a.reasons(), tt.injected, tt.noted)
				}
			})
		})
	}
}

// What others break by the same fault is not the hold's, however late it asks.
func TestAHoldCountsItsOwn(t *testing.T) {
	s, f := NewSwitch(nil), policy("chaos", disabled)
	s.Sync([]Named{f})
	breaks := func() { call("id", 1).send(t, New(s, []Named{f}), &upstream{}) }
	_, _ = s.On("chaos", Toggle{}, by("bob"))
	breaks()
	_, _ = s.Off("chaos", by("bob"))
	h, err := s.Hold("chaos", Toggle{}, by("ann"))
	if err != nil {
		t.Fatal(err)
	}
	breaks()
	h.Release("")
	_, _ = s.On("chaos", Toggle{}, by("bob"))
	breaks()
	if status, _ := s.Get("chaos"); h.Injected() != 1 || status.Injected != 3 {
		t.Errorf("injected %d by the hold, %d in all, want 1 and 3", h.Injected(), status.Injected)
	}
}
