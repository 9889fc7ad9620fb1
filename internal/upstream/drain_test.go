package upstream

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

var operator = exchange.Who{Name: "ops"}

func drain(t *testing.T, u *Upstream, host string, on bool) {
	t.Helper()
	if err := u.Drain(host, on, operator); err != nil {
		t.Errorf("Drain(%s, %t): %v", host, on, err)
	}
}

func TestADrainedEndpointGetsNothingNew(t *testing.T) {
	n := new(network)
	u := n.upstream(t, nil, three...)
	drain(t, u, addr2, true)
	drain(t, u, addr2, true)
	wantText(t, "calls", callers(t, u, 4), "10.0.0.1:80 x2, 10.0.0.3:80 x2")
	wantText(t, "states", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 draining, 10.0.0.3:80 healthy")
	drain(t, u, addr2, false)
	wantText(t, "calls, when it is back", callers(t, u, 3), "10.0.0.1:80 x1, 10.0.0.2:80 x1, 10.0.0.3:80 x1")
	wantText(t, "events: what changes nothing is none", n.told(), "orders/10.0.0.2:80: healthy -> draining\norders/10.0.0.2:80: draining -> healthy")
}

func TestTheLastEndpointIsNotDrained(t *testing.T) {
	n := new(network)
	u := n.upstream(t, weigh(1, 1, 0), three...)
	drain(t, u, addr1, true)
	err := u.Drain(addr2, true, operator)
	if !errors.Is(err, ErrLast) || !strings.Contains(err.Error(), addr2) {
		t.Errorf("error = %v, want ErrLast and which one", err)
	}
	if err := u.Drain("10.0.0.9:80", true, operator); !errors.Is(err, ErrUnknown) {
		t.Errorf("error = %v, want ErrUnknown", err)
	}
	wantText(t, "calls", callers(t, u, 2), "10.0.0.2:80 x2")
	n.told()
}

func TestTheLastThatWorksIsNotDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, checked, three...)
		n.set("down", addr1, addr2)
		u.Start()
		synctest.Wait()
		if err := u.Drain(addr3, true, operator); !errors.Is(err, ErrLast) {
			t.Errorf("Drain of the only one that works: %v, want ErrLast", err)
		}
		drain(t, u, addr1, true)
		n.told()
	})
}

func TestTwoWhoDrainAtOnceLeaveOne(t *testing.T) {
	for range 50 {
		u := new(network).upstream(t, nil, three[:2]...)
		u.tell = func(exchange.Event) error {
			for range 100 { // the other one has every chance
				runtime.Gosched()
			}
			return nil
		}
		var wg sync.WaitGroup
		for _, host := range []string{addr1, addr2} {
			wg.Go(func() { _ = u.Drain(host, true, operator) })
		}
		wg.Wait()
		if got := strings.Count(states(u), Draining); got != 1 {
			t.Fatalf("%s; want one that drains", states(u))
		}
	}
}

func TestADrainThatIsNotHeardIsNotMade(t *testing.T) {
	u := new(network).upstream(t, nil, three...)
	u.tell = func(exchange.Event) error { return exchange.ErrUnheard }
	if err := u.Drain(addr1, true, operator); !errors.Is(err, exchange.ErrUnheard) {
		t.Errorf("error = %v, want ErrUnheard", err)
	}
	wantText(t, "states", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 healthy, 10.0.0.3:80 healthy")
}

func TestADrainHoldsWhateverTheHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, checked, three[:2]...)
		drain(t, u, addr1, true)
		n.set("503 Service Unavailable", addr1)
		u.Start()
		pass(time.Minute)
		n.set("", addr1)
		pass(time.Minute)
		wantText(t, "states", states(u), "10.0.0.1:80 draining, 10.0.0.2:80 healthy")
		n.set("down", addr2)
		pass(time.Minute)
		wantText(t, "calls, when the other does not work", callers(t, u, 2), "10.0.0.2:80 x2")
		wantText(t, "events", n.told(), `orders/10.0.0.1:80: healthy -> draining
orders/10.0.0.2:80: healthy -> unhealthy
orders: normal -> panic`)
	})
}

// What hears of an endpoint may look at the upstream.
func TestWhoHearsMayLook(t *testing.T) {
	n := new(network)
	u := n.upstream(t, outlier, three...)
	looked := 0
	u.tell = func(exchange.Event) error {
		u.Status()
		looked++
		return nil
	}
	n.set("down", addr1)
	callers(t, u, 9)
	drain(t, u, addr2, true)
	if looked != 2 {
		t.Errorf("%d events, want an ejection and a drain", looked)
	}
}
