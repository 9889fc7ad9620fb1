package breaker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// balanced is an upstream of endpoints behind breakers of their own. It calls
// the first one that it may; who is in down fails.
type balanced struct {
	*bench
	hosts  []string
	down   map[string]bool
	called []string
	each   *Endpoints
}

func newBalanced(t *testing.T, c Config, hosts ...string) *balanced {
	c.Scope = ScopeEndpoint
	u := &balanced{bench: &bench{t: t}, hosts: hosts, down: map[string]bool{}}
	u.each = NewEndpoints("standard@orders", c, func() float64 { return 0.5 }, func(e exchange.Event) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.events = append(u.events, e)
		return nil
	})
	u.breaker = NewForEach(c, u.each, func() []string { return u.hosts }, nil)
	u.rt = u.breaker.Admit(u.breaker.Count(exchange.RoundTripFunc(u.pick)))
	return u
}

func (u *balanced) pick(r *http.Request) (*http.Response, error) {
	p := exchange.PickerOf(r.Context())
	for _, host := range u.hosts {
		if p.Allows(host) && p.Pick(host) {
			u.called = append(u.called, host)
			if u.down[host] {
				return exchange.NewResponse(r, 500, "", nil, nil), nil
			}
			return exchange.NewResponse(r, 200, "", nil, nil), nil
		}
	}
	return nil, p.None()
}

// states returns what the breakers of the endpoints are, in a line.
func (u *balanced) states() string {
	var all []string
	for _, s := range u.each.States(u.hosts) {
		st := s.Status()
		all = append(all, strings.TrimPrefix(st.Name, "standard@orders/")+" "+st.State)
	}
	return strings.Join(all, ", ")
}

func (u *balanced) wantStates(want string) {
	u.t.Helper()
	if got := u.states(); got != want {
		u.t.Errorf("breakers: %s, want %s", got, want)
	}
}

func TestEachEndpointHasABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBalanced(t, config(), "a:1", "b:1")
		u.down["a:1"] = true
		u.want("500", "500", "500", "200", "200")
		u.wantStates("a:1 open, b:1 closed")
		if want := []string{"a:1", "a:1", "a:1", "b:1", "b:1"}; !slices.Equal(u.called, want) {
			t.Errorf("called %v, want %v", u.called, want)
		}
		if e := u.events[0]; e.Name != "standard@orders/a:1" || e.To != "open" {
			t.Errorf("told %+v, want that of the endpoint", e)
		}
		u.down["a:1"] = false
		time.Sleep(5 * time.Second)
		u.want("200", "200", "200")
		u.wantStates("a:1 closed, b:1 closed")
	})
}

// With one endpoint its breaker speaks for the upstream.
func TestWhenAllEndpointsAreOpenTheCallIsRefused(t *testing.T) {
	for _, hosts := range [][]string{{"a:1"}, {"a:1", "b:1"}} {
		synctest.Test(t, func(t *testing.T) {
			u := newBalanced(t, config(), hosts...)
			for _, host := range hosts {
				u.down[host] = true
			}
			u.want(repeat(3, "500")...)
			time.Sleep(time.Second)
			u.want(repeat(3*(len(hosts)-1), "500")...)
			_, err := u.rt.RoundTrip(request(t.Context()))
			refusal, ok := u.breaker.own(err)
			wait := map[int]string{1: "4", 2: "4"}[len(hosts)] // until the first of them probes
			if !ok || refusal.Reason != exchange.BreakerOpen || refusal.Policy != "standard@orders" || refusal.Header.Get("Retry-After") != wait {
				t.Errorf("%d endpoints: %v, want a refusal of standard@orders for %s s", len(hosts), err, wait)
			}
			if got := len(u.called); got != 3*len(hosts) {
				t.Errorf("called %d times, want %d", got, 3*len(hosts))
			}
		})
	}
}

func TestAProbeOfTheOnlyEndpointIsNotToBeRepeated(t *testing.T) {
	for hosts, want := range map[int]bool{1: true, 2: false} { // of two, the other may have it
		synctest.Test(t, func(t *testing.T) {
			u := newBalanced(t, config(), []string{"a:1", "b:1"}[:hosts]...)
			u.down["a:1"] = true
			u.want("500", "500", "500")
			time.Sleep(5 * time.Second)
			rec := &exchange.Record{}
			_, _ = u.rt.RoundTrip(request(exchange.With(t.Context(), rec)))
			if rec.CalledOnce() != want {
				t.Errorf("with %d endpoints a probe is for once: %v, want %v", hosts, rec.CalledOnce(), want)
			}
		})
	}
}

// A place that another call took is not picked, and one that was picked and left
// counts for nothing.
func TestPick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBalanced(t, config(half(1, 2)), "a:1", "b:1")
		u.down["a:1"] = true
		u.want("500", "500", "500")
		time.Sleep(5 * time.Second)
		first := &choice{breaker: u.breaker, hosts: u.hosts, record: &exchange.Record{}}
		second := &choice{breaker: u.breaker, hosts: u.hosts, record: &exchange.Record{}}
		if !first.Allows("a:1") || !second.Allows("a:1") || !first.Pick("a:1") || second.Pick("a:1") {
			t.Error("the place of one probe is not given to one call")
		}
		if second.Allows("a:1") || !second.Pick("b:1") {
			t.Error("the other endpoint is not to be had")
		}
		if !first.Pick("b:1") || !second.Pick("a:1") {
			t.Error("a place that is left is not given to another")
		}
		first.leave(nil, false)
		second.leave(nil, false)
		if got := u.each.of("b:1", nil).Status(); got.Requests != 1 {
			t.Errorf("b counts %d, want one", got.Requests)
		}
		if got := u.each.of("a:1", nil).Status(); got.Successes != 1 || got.Probes != 0 {
			t.Errorf("a has %d successes and %d probes, want one and none", got.Successes, got.Probes)
		}
	})
}

// Where a fault answers, nobody picks: the endpoints take turns.
func TestADrillOpensTheBreakersOfEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBalanced(t, config(), "a:1", "b:1", "c:1")
		u.rt = u.breaker.Admit(u.breaker.Count(script(503)))
		u.want(repeat(9, "503")...)
		u.wantStates("a:1 open, b:1 open, c:1 open")
		u.want("breaker_open")
		if got := outcome(u.breaker.Count(script(503)).RoundTrip(request(t.Context()))); got != "breaker_open" {
			t.Errorf("another attempt: got %s, want breaker_open", got)
		}
		time.Sleep(5 * time.Second)
		u.want(repeat(3, "503")...) // a probe each
		u.want("breaker_open")
	})
}

func TestAClientThatLeavesCountsForNoEndpoint(t *testing.T) {
	u := newBalanced(t, config(), "a:1")
	u.rt = u.breaker.Admit(u.breaker.Count(script(exchange.FailedClient)))
	u.want(repeat(5, "client")...)
	if got := u.each.of("a:1", u.hosts).Status(); got.Requests != 0 {
		t.Errorf("%d requests count, want none", got.Requests)
	}
}

func TestEndpointsInShadowAreAllCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBalanced(t, config(func(c *Config) { c.Mode = exchange.ModeShadow }), "a:1")
		u.down["a:1"] = true
		u.want(repeat(5, "500")...)
		u.wantStates("a:1 open")
		if got := u.each.of("a:1", u.hosts).Status(); got.Requests != 3 {
			t.Errorf("%d requests count, want the 3 before it opened", got.Requests)
		}
		rec := &exchange.Record{}
		_, _ = u.rt.RoundTrip(request(exchange.With(t.Context(), rec)))
		if d := rec.Decisions()[0]; d.Outcome != exchange.Shadow || d.Reason != exchange.BreakerOpen || d.Policy != "standard@orders" {
			t.Errorf("decision %+v, want a shadow of breaker_open", d)
		}
	})
}

// An upstream whose name has no address yet fails by itself.
func TestNoEndpointIsNotRefused(t *testing.T) {
	u := newBalanced(t, config())
	u.rt = u.breaker.Admit(u.breaker.Count(script(exchange.FailedConnect)))
	u.want(repeat(5, "connect-failure")...)
}

func TestAnEndpointIsRememberedForAWhile(t *testing.T) {
	tests := []struct {
		name string
		away time.Duration
		want string
	}{
		{"that comes back, twice", forgetAfter - time.Second, "a:1 half-open, b:1 closed"},
		{"that is gone for long", forgetAfter, "a:1 closed, b:1 closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newBalanced(t, config(), "a:1", "b:1")
				u.down["a:1"] = true
				u.want("500", "500", "500")
				for range 2 {
					time.Sleep(sweepEvery)
					u.hosts = []string{"b:1"}
					u.wantStates("b:1 closed")
					time.Sleep(tt.away)
					u.wantStates("b:1 closed")
					u.hosts = []string{"a:1", "b:1"}
					u.wantStates(tt.want)
					time.Sleep(sweepEvery)
					u.wantStates(tt.want)
				}
			})
		})
	}
}

func TestEndpointsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBalanced(t, config(), "a:1")
		for i := range 10 * maxEndpoints {
			time.Sleep(sweepEvery / 10)
			u.hosts = []string{"a:1", fmt.Sprintf("pod-%d:1", i)}
			u.each.States(u.hosts)
		}
		if got := len(u.each.all); got > maxEndpoints {
			t.Errorf("%d are remembered, want at most %d", got, maxEndpoints)
		}
		time.Sleep(forgetAfter)
		u.hosts = nil
		for i := range 2 * maxEndpoints {
			u.hosts = append(u.hosts, fmt.Sprintf("new-%d:1", i))
		}
		if got := len(u.each.States(u.hosts)); got != 2*maxEndpoints {
			t.Errorf("%d breakers, want one for each", got)
		}
		if got := len(u.each.all); got != maxEndpoints {
			t.Errorf("%d are remembered, want %d", got, maxEndpoints)
		}
	})
}

func TestEndpointsUnderLoad(t *testing.T) {
	es := NewEndpoints("s", config(), func() float64 { return 0.5 }, func(exchange.Event) error { return nil })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			b := NewForEach(config(), es, func() []string { return []string{"a:1", "b:1", fmt.Sprint("c:", g)} }, nil)
			rt := b.Count(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				for _, host := range b.each.hosts() {
					if p := exchange.PickerOf(r.Context()); p.Allows(host) && p.Pick(host) {
						break
					}
				}
				return exchange.NewResponse(r, 200+300*(g%2), "", nil, nil), nil
			}))
			for range 200 {
				_, _ = rt.RoundTrip(request(t.Context()))
				es.States(b.each.hosts())
			}
		})
	}
	wg.Wait()
	for _, s := range es.States([]string{"a:1", "b:1"}) {
		if got := s.Status().Probes; got != 0 {
			t.Errorf("%s has %d probes when all is over", s.Name(), got)
		}
	}
}
