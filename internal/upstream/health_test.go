package upstream

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// checked switches health checks on: every 5s, 3 bad ones, 2 good ones.
func checked(c *Config) {
	c.Health = &Health{}
	c.Health.SetDefaults()
	c.Health.Path = "/healthz"
}

func TestAnEndpointIsAskedHowItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, checked, three[:2]...)
		wantText(t, "before it is asked", callers(t, u, 2), "10.0.0.1:80 x1, 10.0.0.2:80 x1")
		n.set("503 Service Unavailable", addr2)
		u.Start()
		synctest.Wait()
		wantText(t, "the first answer decides", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 unhealthy")
		wantText(t, "calls", callers(t, u, 4), "10.0.0.1:80 x4")
		if got := u.Status().Endpoints[1].Problem; got != "status 503, want 200 to 299" {
			t.Errorf("Problem = %q", got)
		}

		n.set("204 No Content", addr2)
		pass(5 * time.Second)
		wantText(t, "one good answer", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 unhealthy")
		pass(5 * time.Second)
		wantText(t, "two", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 healthy")

		n.set("302 Found", addr2)
		pass(10 * time.Second)
		n.set("", addr2)
		pass(5 * time.Second)
		n.set("302 Found", addr2)
		pass(10 * time.Second)
		wantText(t, "two bad ones, a good one, two bad ones", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 healthy")
		pass(5 * time.Second)
		wantText(t, "three", states(u), "10.0.0.1:80 healthy, 10.0.0.2:80 unhealthy")
		wantText(t, "events", n.told(), `orders/10.0.0.2:80: healthy -> unhealthy
orders/10.0.0.2:80: unhealthy -> healthy
orders/10.0.0.2:80: healthy -> unhealthy`)
		st := u.Status().Endpoints[1]
		if st.ChecksPassed != 3 || st.ChecksFailed != 6 {
			t.Errorf("%d checks passed and %d failed, want 3 and 6", st.ChecksPassed, st.ChecksFailed)
		}
	})
}

func TestWhatIsAsked(t *testing.T) {
	tests := []struct {
		name, answer, path string
		want               string
		problem            string
	}{
		{"a path", "200 OK", "/healthz", Healthy, ""},
		{"nobody listens", "down", "/healthz", Unhealthy, "connection refused"},
		{"no answer in time", "hangs", "/healthz", Unhealthy, "no answer within 1s"},
		{"a connection is enough where there is no path", "hangs", "", Healthy, ""},
		{"no connection", "down", "", Unhealthy, "connection refused"},
		{"a redirect is none", "301 Moved Permanently\r\nLocation: /other", "/healthz", Unhealthy, "status 301"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				u := n.upstream(t, func(c *Config) {
					checked(c)
					c.Health.Path = tt.path
				}, three[0])
				n.set(tt.answer, addr1)
				u.Start()
				pass(time.Second)
				st := u.Status().Endpoints[0]
				if st.State != tt.want || !strings.Contains(st.Problem, tt.problem) || (st.Problem == "") != (tt.problem == "") {
					t.Errorf("%s, %q; want %s, %q", st.State, st.Problem, tt.want, tt.problem)
				}
			})
		})
	}
}

func TestWhenNoneWorksAllAreCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, checked, three...)
		n.set("503 Service Unavailable", addr1, addr2, addr3)
		if err := u.Drain(addr3, true, exchange.Who{}); err != nil {
			t.Fatal(err)
		}
		u.Start()
		synctest.Wait()
		if !u.Status().Panic {
			t.Error("Panic = false, want true")
		}
		wantText(t, "calls", callers(t, u, 4), "10.0.0.1:80 x2, 10.0.0.2:80 x2")
		if got := n.told(); !strings.Contains(got, "orders: normal -> panic") {
			t.Errorf("events = %s, want panic among them", got)
		}
		n.set("", addr2)
		pass(15 * time.Second)
		wantText(t, "events", n.told(), "orders/10.0.0.2:80: unhealthy -> healthy\norders: panic -> normal")
		wantText(t, "calls, when one works", callers(t, u, 4), "10.0.0.2:80 x4")
	})
}

func TestChecksFollowTheAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, checked, named)
		n.lead("orders", "10.0.0.1")
		n.set("503 Service Unavailable", "10.0.0.2:3000")
		follow(u)
		n.lead("orders", "10.0.0.1", "10.0.0.2")
		pass(5 * time.Second)
		wantText(t, "a new address is asked", states(u), "10.0.0.1:3000 healthy, 10.0.0.2:3000 unhealthy")
		n.lead("orders", "10.0.0.1")
		pass(5 * time.Second)
		before := n.dialled("10.0.0.2:3000")
		pass(time.Minute)
		if got := n.dialled("10.0.0.2:3000"); got != before {
			t.Errorf("an address that is gone was asked %d times more", got-before)
		}
	})
}

// Over real sockets: TLS as the upstream says, the endpoint's Host, and a
// connection that is nobody else's.
func TestChecksGoTheWayOfCalls(t *testing.T) {
	tests := []struct {
		name   string
		start  func(*httptest.Server)
		change func(*Config)
		path   string
	}{
		{"HTTP", (*httptest.Server).Start, nil, "/healthz?full=1"},
		{"h2c", startH2C, func(c *Config) { c.Protocol = exchange.H2C }, "/healthz"},
		{"TLS", startTLS, nil, "/healthz"},
		{"TCP", (*httptest.Server).Start, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Pointer[http.Request]
			srv := handle(t, tt.start, func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.Clone(r.Context())) })
			c := config(func(c *Config) {
				if tt.change != nil {
					tt.change(c)
				}
				checked(c)
				c.Health.Path = tt.path
			}, srv.URL)
			var trust *tls.Config
			if srv.TLS != nil {
				trust = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
			}
			for _, secure := range []*tls.Config{trust, {}} {
				u := New("orders", c, secure, nil)
				if err := u.endpoints[0].asker(*c.Health)(t.Context()); (err != nil) != (srv.TLS != nil && secure != trust) {
					t.Errorf("error = %v", err)
				}
				u.Close()
			}
			if tt.path == "" {
				return
			}
			r := asked.Load()
			if r == nil || r.URL.String() != tt.path || r.Host != strings.TrimPrefix(strings.TrimPrefix(srv.URL, "https://"), "http://") {
				t.Errorf("asked %+v, want %s of the endpoint's host", r, tt.path)
			}
		})
	}
}
