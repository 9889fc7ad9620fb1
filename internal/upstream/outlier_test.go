package upstream

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// outlier switches ejections on: 3 failures, 10s, 20s, 40s.
func outlier(c *Config) {
	c.Outlier = &Outlier{}
	c.Outlier.SetDefaults()
	c.Outlier.ConsecutiveFailures = 3
	c.Outlier.EjectFor.Max = 40 * time.Second
}

const addr1, addr2, addr3 = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"

func TestAnEndpointThatKeepsFailingIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, outlier, three...)
		n.set("503 Service Unavailable", addr2)
		wantText(t, "three failures in a row", callers(t, u, 8), "10.0.0.1:80 x3, 10.0.0.2:80 x3, 10.0.0.3:80 x2")
		wantText(t, "while it is ejected", callers(t, u, 10), "10.0.0.1:80 x5, 10.0.0.3:80 x5")
		wantText(t, "states", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 ejected, 10.0.0.3:80 healthy")
		if left := time.Until(u.Status().Endpoints[1].EjectedUntil); left != 10*time.Second {
			t.Errorf("it is out for %v more, want 10s", left)
		}
		wantText(t, "events", n.told(), "orders/10.0.0.2:80: healthy -> ejected")

		pass(10 * time.Second)
		wantText(t, "on probation", callers(t, u, 2), "10.0.0.1:80 x1, 10.0.0.2:80 x1")
		wantText(t, "the next failure ejects it again", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 ejected, 10.0.0.3:80 healthy")
		pass(10 * time.Second)
		wantText(t, "for longer", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 ejected, 10.0.0.3:80 healthy")
		pass(10 * time.Second)

		n.set("", addr2)
		callers(t, u, 3)
		n.set("503 Service Unavailable", addr2)
		callers(t, u, 6)
		wantText(t, "a success makes it one of the others: two failures", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 healthy, 10.0.0.3:80 healthy")
		n.told()
	})
}

func TestEjectionsGrowAndStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, outlier, three[:2]...)
		n.set("502 Bad Gateway", addr1)
		out := func() time.Duration {
			for range 20 {
				take(t, u)
			}
			return time.Until(u.Status().Endpoints[0].EjectedUntil)
		}
		for _, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 40 * time.Second} {
			if got := out(); got != want {
				t.Errorf("ejected for %v, want %v", got, want)
			}
			time.Sleep(want)
			synctest.Wait()
		}
		n.set("", addr1)
		callers(t, u, 4)
		time.Sleep(40 * time.Second) // as long as it was out
		n.set("502 Bad Gateway", addr1)
		if got := out(); got != 10*time.Second {
			t.Errorf("ejected for %v after it worked for as long as it was out, want 10s", got)
		}
		if got := u.Status().Endpoints[0].Ejections; got != 5 {
			t.Errorf("Ejections = %d, want 5", got)
		}
	})
}

func TestNotTooManyAreEjected(t *testing.T) {
	tests := []struct {
		name     string
		percent  int
		urls     int
		fail     []string
		ejected  int
		panicked bool
	}{
		{"half of three is one", 50, 3, []string{addr1, addr2}, 1, false},
		{"a third of three is none when it is said as 33", 33, 3, []string{addr1}, 0, false},
		{"all of three leaves one", 100, 3, []string{addr1, addr2, addr3}, 2, false},
		{"the only one", 100, 1, []string{addr1}, 0, false},
		{"the last that works", 100, 2, []string{addr1, addr2}, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				u := n.upstream(t, func(c *Config) {
					outlier(c)
					c.Outlier.MaxEjectedPercent = tt.percent
				}, three[:tt.urls]...)
				n.set("down", tt.fail...)
				callers(t, u, 60)
				if got := strings.Count(states(u), Ejected); got != tt.ejected || u.Status().Panic != tt.panicked {
					t.Errorf("%s, panic %t; want %d ejected and %t", states(u), u.Status().Panic, tt.ejected, tt.panicked)
				}
			})
		})
	}
}

func TestAnEndpointThatWasSparedIsEjectedWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, outlier, three...)
		n.set("down", addr1, addr2)
		callers(t, u, 60)
		wantText(t, "states", states(u), "10.0.0.1:80 ejected, 10.0.0.2:80 healthy, 10.0.0.3:80 healthy")
		n.set("", addr1)
		pass(10 * time.Second)
		callers(t, u, 60)
		wantText(t, "states, when the first works again", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 ejected, 10.0.0.3:80 healthy")
	})
}

func TestWhatCountsAgainstAnEndpoint(t *testing.T) {
	withFault := func(t *testing.T) context.Context {
		ctx := request("GET", "/", "").Context()
		exchange.From(ctx).BlameClient(&exchange.Refusal{Reason: exchange.ClientBody})
		return ctx
	}
	timesOut := func(*testing.T) context.Context {
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, &exchange.Failure{Kind: exchange.FailedTimeout})
		time.AfterFunc(2*time.Second, cancel)
		return ctx
	}
	leaves := func(*testing.T) context.Context {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		return ctx
	}
	refused := func(*testing.T) context.Context {
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, &exchange.Refusal{Reason: exchange.DeadlineExceeded})
		time.AfterFunc(2*time.Second, cancel)
		return ctx
	}
	tests := []struct {
		name, answer string
		ctx          func(*testing.T) context.Context // nil: a plain one
		want         int
	}{
		{"502", "502 Bad Gateway", nil, 2},
		{"503", "503 Service Unavailable", nil, 2},
		{"504", "504 Gateway Timeout", nil, 2},
		{"500 is the request's, as far as anybody knows", "500 Internal Server Error", nil, 0},
		{"501", "501 Not Implemented", nil, 0},
		{"429", "429 Too Many Requests", nil, 0},
		{"404", "404 Not Found", nil, 0},
		{"no connection", "down", nil, 2},
		{"no HTTP", "nonsense", nil, 2},
		{"a timeout of ours", "hangs", timesOut, 2},
		{"a client that leaves", "hangs", leaves, 0},
		{"a caller's deadline", "hangs", refused, 0},
		{"the client's body", "down", withFault, 0},
		{"gRPC's UNAVAILABLE", "200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14", nil, 2},
		{"gRPC's NOT_FOUND", "200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 5", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				u := n.upstream(t, outlier, three[0])
				n.set(tt.answer, addr1)
				for range 2 {
					ctx := request("GET", "/", "").Context()
					if tt.ctx != nil {
						ctx = tt.ctx(t)
					}
					attempt(t, u, ctx)
					time.Sleep(3 * time.Second)
				}
				if got := u.Status().Endpoints[0].ConsecutiveFailures; got != tt.want {
					t.Errorf("%d failures in a row, want %d", got, tt.want)
				}
			})
		})
	}
}

func TestWhatIsTheClientsFaultIsNoSuccessEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, outlier, three[0])
		n.set("down", addr1)
		take(t, u)
		take(t, u)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		attempt(t, u, ctx)
		if got := u.Status().Endpoints[0].ConsecutiveFailures; got != 2 {
			t.Errorf("%d failures in a row after a client that left, want 2 as before", got)
		}
	})
}

func TestAReturnRampsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, func(c *Config) {
			outlier(c)
			c.SlowStart = 20 * time.Second
		}, three[:2]...)
		if got := u.Status().Endpoints[0].SharePercent; got != 50 {
			t.Errorf("at the start the share is %v %%, want 50: nothing is new beside anything", got)
		}
		n.set("down", addr1)
		callers(t, u, 8)
		n.set("", addr1)
		pass(10 * time.Second)
		wantText(t, "states", states(u), "10.0.0.1:80 ramping, 10.0.0.2:80 healthy")
		for _, tt := range []struct {
			after time.Duration
			want  string
		}{
			{0, "10.0.0.1:80 x10, 10.0.0.2:80 x200"},
			{10 * time.Second, "10.0.0.1:80 x70, 10.0.0.2:80 x140"},
			{10 * time.Second, "10.0.0.1:80 x105, 10.0.0.2:80 x105"},
		} {
			time.Sleep(tt.after)
			synctest.Wait()
			wantText(t, "calls", callers(t, u, 210), tt.want)
		}
		wantText(t, "states", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 healthy")
	})
}
