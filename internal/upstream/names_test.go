package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sidecar/internal/exchange"
)

const named = "http://orders:3000"

// follow starts u, and waits for the first answers.
func follow(u *Upstream) {
	u.Start()
	synctest.Wait()
}

func TestEachAddressOfANameIsAnEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, nil, named)
		n.lead("orders", "10.0.0.2", "10.0.0.1")
		wantText(t, "before it is looked up", strings.Join(u.Hosts(), " "), "orders:3000")
		wantText(t, "calls before it is looked up", callers(t, u, 2), "orders:3000 x2")
		follow(u)
		wantText(t, "hosts", strings.Join(u.Hosts(), " "), "10.0.0.1:3000 10.0.0.2:3000")
		wantText(t, "calls", callers(t, u, 4), "10.0.0.1:3000 x2, 10.0.0.2:3000 x2")
		if n.dialled("10.0.0.1:3000") != 1 {
			t.Error("the address was not dialled, or not over a connection that is kept")
		}
		if got := n.hosts[len(n.hosts)-1]; got != "example.com" {
			t.Errorf("Host is %q, want the client's", got)
		}

		n.lead("orders", "10.0.0.2", "10.0.0.3")
		pass(5 * time.Second)
		wantText(t, "a new answer", callers(t, u, 4), "10.0.0.2:3000 x2, 10.0.0.3:3000 x2")
		wantText(t, "events", n.told(), "orders/orders:3000:  -> 2 addresses\norders/orders:3000: 2 addresses -> 2 addresses")
	})
}

func TestAFailedLookupTakesNothingAway(t *testing.T) {
	for name, fail := range map[string]func(*network){
		"no such name": func(n *network) { delete(n.names, "orders") },
		"no address":   func(n *network) { n.names["orders"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				u := n.upstream(t, nil, named)
				n.lead("orders", "10.0.0.1", "10.0.0.2")
				follow(u)
				n.told()
				n.mu.Lock()
				fail(n)
				n.mu.Unlock()
				pass(time.Hour)
				wantText(t, "hosts", strings.Join(u.Hosts(), " "), "10.0.0.1:3000 10.0.0.2:3000")
				if u.Status().Unresolved["orders:3000"] == "" {
					t.Error("the status does not tell that the name cannot be looked up")
				}
				n.lead("orders", "10.0.0.1", "10.0.0.2")
				pass(5 * time.Second)
				if got := u.Status().Unresolved; len(got) > 0 {
					t.Errorf("Unresolved = %v, want none", got)
				}
				wantText(t, "events", n.told(), "orders/orders:3000: 2 addresses -> unresolved\norders/orders:3000: unresolved -> 2 addresses")
			})
		})
	}
}

func TestANameThatIsNotKnownYetIsDialledAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, func(c *Config) { c.DNS.Refresh = time.Hour }, named)
		follow(u)
		wantText(t, "calls", callers(t, u, 2), "orders:3000 x2")
		n.lead("orders", "10.0.0.1")
		pass(lookupTimeout)
		wantText(t, "calls, soon after it is there", callers(t, u, 2), "10.0.0.1:3000 x2")
	})
}

func TestAnAddressThatIsGoneEndsWithItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, nil, named)
		n.lead("orders", "10.0.0.1")
		n.set("200 OK\r\nX: y", "10.0.0.1:3000")
		follow(u)
		s := request("GET", "/", "")
		n.set("hangs", "10.0.0.1:3000")
		done := make(chan error)
		ctx, cancel := context.WithCancel(s.Context())
		go func() {
			_, err := u.RoundTrip(s.WithContext(ctx))
			done <- err
		}()
		synctest.Wait()
		gone := u.endpoints[0]

		n.lead("orders", "10.0.0.2")
		pass(5 * time.Second)
		wantText(t, "states", states(u), "10.0.0.2:3000 healthy, 10.0.0.1:3000 draining")
		if got := u.InFlight(); got != 1 {
			t.Errorf("InFlight = %d, want 1", got)
		}
		select {
		case err := <-done:
			t.Fatalf("the call that was in flight ended with its address: %v", err)
		default:
		}
		n.lead("orders", "10.0.0.1", "10.0.0.2")
		pass(5 * time.Second)
		if u.endpoints[0] != gone || gone.retired.Load() {
			t.Error("an address that is back is another endpoint, want the one that has calls")
		}
		n.lead("orders", "10.0.0.2")
		pass(5 * time.Second)
		cancel()
		<-done
		wantText(t, "states", states(u), "10.0.0.2:3000 healthy")
	})
}

func TestTheConnectionsOfAnAddressThatIsGoneAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, func(c *Config) { c.Pool.IdleTimeout = time.Hour }, named)
		n.lead("orders", "10.0.0.1")
		follow(u)
		take(t, u)
		e := u.endpoints[0]
		if got := len(e.direct.pool.idle); got != 1 {
			t.Fatalf("%d idle connections, want 1", got)
		}
		e.inFlight.Add(1) // a call that goes on
		n.lead("orders", "10.0.0.2")
		pass(5 * time.Second)
		if got := len(e.direct.pool.idle); got != 1 {
			t.Errorf("%d idle connections while a call goes on, want 1 as before", got)
		}
		e.end()
		if got := len(e.direct.pool.idle); got != 0 {
			t.Errorf("%d idle connections to an address that is gone, want 0", got)
		}
	})
}

func TestWhichAddressesAreTaken(t *testing.T) {
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	tests := []struct {
		name   string
		answer []string
		want   string // a part
		n      int
	}{
		{"each once, sorted", []string{"10.0.0.2", "10.0.0.1", "10.0.0.2"}, "10.0.0.1:3000 10.0.0.2:3000", 2},
		{"IPv6", []string{"fd00::2", "fd00::1"}, "[fd00::1]:3000 [fd00::2]:3000", 2},
		{"of two families the first, as the system prefers", []string{"10.0.0.1", "fd00::1", "10.0.0.2"}, "10.0.0.1:3000 10.0.0.2:3000", 2},
		{"of two families the first, IPv6", []string{"fd00::1", "fd00::2", "10.0.0.1"}, "[fd00::1]:3000 [fd00::2]:3000", 2},
		{"one of each family is one host", []string{"fd00::1", "10.0.0.1", "fd00::1"}, "orders:3000", 1},
		{"IPv4 in IPv6", []string{"::ffff:10.0.0.1"}, "10.0.0.1:3000", 1},
		{"no more than are good for anybody", many, "10.0.0.0:3000 10.0.0.1:3000", maxAddresses},
		{"nowhere is no address", []string{"0.0.0.0", "10.0.0.1"}, "10.0.0.1:3000", 1},
		{"nor does it say which family is first", []string{"::", "10.0.0.1"}, "10.0.0.1:3000", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				u := n.upstream(t, nil, named)
				n.lead("orders", tt.answer...)
				follow(u)
				if got := strings.Join(u.Hosts(), " "); !strings.HasPrefix(got, tt.want) || len(u.Hosts()) != tt.n {
					t.Errorf("hosts = %d, %s; want %d, %s", len(u.Hosts()), got, tt.n, tt.want)
				}
			})
		})
	}
}

// A name with an address of each family, such as that of the machine itself,
// worked with Go's own dialer, which takes the one that answers.
func TestAHostThatListensOnOneOfItsAddressesIsFound(t *testing.T) {
	srv := handle(t, (*httptest.Server).Start, func(http.ResponseWriter, *http.Request) {})
	u := to(t, nil, fmt.Sprintf("http://localhost:%d", srv.Listener.Addr().(*net.TCPAddr).Port)) // on 127.0.0.1 only
	u.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}, nil
	}
	u.places[0].name = "localhost" // as if it were any other
	if err := u.resolve(t.Context(), u.places[0]); err != nil {
		t.Fatal(err)
	}
	get(t, u, request("GET", "/", ""))
}

func TestANameMayLeadToOneHostOrToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, nil, named)
		for _, tt := range []struct{ answer, want string }{
			{"fd00::1 10.0.0.1", "orders:3000 x2"},
			{"fd00::1 fd00::2 10.0.0.1 10.0.0.2", "[fd00::1]:3000 x1, [fd00::2]:3000 x1"},
			{"fd00::1 10.0.0.1", "orders:3000 x2"},
			{"10.0.0.1", "10.0.0.1:3000 x2"},
		} {
			n.lead("orders", strings.Fields(tt.answer)...)
			follow(u)
			pass(6 * time.Second)
			wantText(t, "calls, when the answer is "+tt.answer, callers(t, u, 2), tt.want)
		}
	})
}

func TestAnAddressThatIsBackBeginsAnew(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprintf("with calls that go on: %t", busy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				u := n.upstream(t, func(c *Config) {
					c.Outlier = &Outlier{}
					c.Outlier.SetDefaults()
				}, named)
				n.lead("orders", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
				follow(u)
				if busy {
					for _, e := range u.endpoints {
						e.inFlight.Add(1)
						defer e.end()
					}
				}
				drain(t, u, "10.0.0.1:3000", true)
				n.set("503 Service Unavailable", "10.0.0.2:3000")
				callers(t, u, 15)
				wantText(t, "states", states(u), "10.0.0.1:3000 draining, 10.0.0.2:3000 ejected, 10.0.0.3:3000 healthy, 10.0.0.4:3000 healthy")
				n.lead("orders", "10.0.0.3")
				pass(5 * time.Second)
				n.lead("orders", "10.0.0.1", "10.0.0.2", "10.0.0.3")
				pass(5 * time.Second)
				all := u.Status().Endpoints[:3]
				for _, e := range all {
					if e.State != Healthy || e.Ejections != 0 || e.ConsecutiveFailures != 0 {
						t.Errorf("%s is back as %+v, want as a new one", e.Endpoint, e)
					}
				}
			})
		})
	}
}

// Metrics of an address that is there twice would be no metrics at all.
func TestAnAddressIsToldOnceByWhateverNameItsCallsCame(t *testing.T) {
	n := new(network)
	u := n.upstream(t, nil, named, "http://also:3000")
	lead := func(orders, also string) {
		t.Helper()
		n.lead("orders", orders)
		n.lead("also", also)
		for _, p := range u.places {
			if err := u.resolve(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := func(label string) {
		i := slices.IndexFunc(u.endpoints, func(e *endpoint) bool { return e.label == label })
		u.endpoints[i].inFlight.Add(1)
		t.Cleanup(u.endpoints[i].end)
	}
	lead("10.0.0.1", "10.0.0.2")
	begin("10.0.0.1:3000")
	lead("10.0.0.3", "10.0.0.1")
	begin("10.0.0.1:3000")
	wantText(t, "one name after the other", calls(u), "10.0.0.3:3000 0, 10.0.0.1:3000 2")
	lead("10.0.0.3", "10.0.0.2")
	wantText(t, "neither name any more", calls(u), "10.0.0.3:3000 0, 10.0.0.2:3000 0, 10.0.0.1:3000 2")
}

// calls returns how many are in flight to each endpoint.
func calls(u *Upstream) string {
	var all []string
	for _, e := range u.Status().Endpoints {
		all = append(all, fmt.Sprintf("%s %d", e.Endpoint, e.InFlight))
	}
	return strings.Join(all, ", ")
}

// net/http lets go of the connection a little after the call has ended.
func TestAnHTTP2ConnectionEndsWithACallThatIsBrokenOff(t *testing.T) {
	closed := make(chan struct{}, 5)
	srv := handle(t, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		}
		startH2C(s)
	}, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for range 5 {
		u := to(t, func(c *Config) { c.Protocol, c.Pool.IdleTimeout = exchange.H2C, time.Hour }, srv.URL)
		s := request("GET", "/", "")
		ctx, cancel := context.WithCancel(s.Context())
		resp, err := u.RoundTrip(s.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
		cancel()
		resp.Body.Close()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection is open, and nothing will close it")
		}
	}
}

func TestAnAddressIsOneEndpointWhateverLeadsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, nil, "http://10.0.0.1:3000", named, "http://also:3000")
		n.lead("orders", "10.0.0.1", "10.0.0.2")
		n.lead("also", "10.0.0.2")
		u.places[2].name = "" // one after the other: who comes first has it
		follow(u)
		if err := u.resolve(context.Background(), &place{name: "gone", at: u.places[2].at, label: "gone:1"}); err == nil {
			t.Error("a name without an answer is no error")
		}
		u.places[2].name = "also"
		u.resolve(context.Background(), u.places[2])
		wantText(t, "hosts", strings.Join(u.Hosts(), " "), "10.0.0.1:3000 10.0.0.2:3000")
		n.lead("orders", "10.0.0.3")
		pass(5 * time.Second)
		u.resolve(context.Background(), u.places[2])
		wantText(t, "hosts, when one name leads elsewhere", strings.Join(u.Hosts(), " "), "10.0.0.1:3000 10.0.0.3:3000 10.0.0.2:3000")
	})
}

func TestANewAddressRampsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, func(c *Config) { c.SlowStart = 20 * time.Second }, named)
		n.lead("orders", "10.0.0.1")
		follow(u)
		wantText(t, "at the start", states(u), "10.0.0.1:3000 healthy")
		n.lead("orders", "10.0.0.1", "10.0.0.2")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantText(t, "a new one", states(u), "10.0.0.1:3000 healthy, 10.0.0.2:3000 ramping")
		wantText(t, "calls", callers(t, u, 21), "10.0.0.1:3000 x20, 10.0.0.2:3000 x1")
		pass(20 * time.Second)
		wantText(t, "calls, later", callers(t, u, 20), "10.0.0.1:3000 x10, 10.0.0.2:3000 x10")
	})
}

func TestWhatIsNoNameIsNotLookedUp(t *testing.T) {
	for _, tt := range []struct {
		url     string
		refresh time.Duration
	}{
		{"http://127.0.0.1:3000", 5 * time.Second},
		{"http://[::1]:3000", 5 * time.Second},
		{"http://localhost:3000", 5 * time.Second},
		{"http://orders.localhost:3000", 5 * time.Second},
		{named, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := new(network)
			u := n.upstream(t, func(c *Config) { c.DNS.Refresh = tt.refresh }, tt.url)
			u.Start()
			pass(time.Hour)
			at, _ := url.Parse(tt.url)
			if n.lookups != 0 || u.Hosts()[0] != at.Host {
				t.Errorf("%s, refresh %v: %d lookups, hosts %v; want none and itself", tt.url, tt.refresh, n.lookups, u.Hosts())
			}
		})
	}
}

func TestStartAndCloseMayComeAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		u := n.upstream(t, func(c *Config) { c.Health = &Health{}; c.Health.SetDefaults() }, named)
		n.lead("orders", "10.0.0.1")
		u.Start()
		u.Start()
		pass(time.Minute)
		if n.lookups > 14 {
			t.Errorf("%d lookups in a minute, want about 12: two follow the name", n.lookups)
		}
		u.Close()
		u.Close()
		u.Start()
		synctest.Wait()
		before := n.lookups
		pass(time.Hour)
		if n.lookups != before {
			t.Error("the name is followed after Close")
		}
		wantText(t, "a call after Close", callers(t, u, 1), "10.0.0.1:3000 x1")
	})
}

func TestHostAndServerNameStayTheNames(t *testing.T) {
	var host, name string
	srv := handle(t, startTLS, func(_ http.ResponseWriter, r *http.Request) { host, name = r.Host, r.TLS.ServerName })
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	for _, preserve := range []bool{true, false} {
		at := fmt.Sprintf("https://example.com:%d", port) // which httptest's certificate is for
		c := config(func(c *Config) { c.PreserveHost = preserve }, at)
		u := newUpstream("orders", c, &transports{config: c, tls: srv.Client().Transport.(*http.Transport).TLSClientConfig})
		t.Cleanup(u.Close)
		u.lookup = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		if err := u.resolve(t.Context(), u.places[0]); err != nil {
			t.Fatal(err)
		}
		s := request("GET", "/", "")
		s.Host = "shop.example"
		get(t, u, s)
		want := map[bool]string{true: "shop.example", false: at[len("https://"):]}[preserve]
		if host != want || name != "example.com" || s.attempt.Endpoint != fmt.Sprintf("127.0.0.1:%d", port) {
			t.Errorf("Host %q, server name %q, endpoint %q; want %q, example.com, 127.0.0.1:%d", host, name, s.attempt.Endpoint, want, port)
		}
	}
}

// A real question to a real server, and an answer that changes.
func TestNamesAreAskedOfDNS(t *testing.T) {
	answers := make(chan []string, 1)
	answers <- []string{"127.0.0.1"}
	server := dns(t, func() []string {
		a := <-answers
		answers <- a
		return a
	})
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}
	srv := handle(t, (*httptest.Server).Start, func(http.ResponseWriter, *http.Request) {})
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	u := to(t, nil, fmt.Sprintf("http://orders.test.:%d", port))
	u.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) { return r.LookupNetIP(ctx, "ip", name) }
	resolve := func() {
		t.Helper()
		if err := u.resolve(t.Context(), u.places[0]); err != nil {
			t.Fatal(err)
		}
	}
	resolve()
	get(t, u, request("GET", "/", ""))
	<-answers
	answers <- []string{"127.0.0.2", "127.0.0.1"}
	resolve()
	if got, want := u.Hosts(), []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.2:%d", port)}; !slices.Equal(got, want) {
		t.Errorf("hosts = %v, want %v", got, want)
	}
}

// dns answers questions of type A with what addrs says, and all others with
// nothing.
func dns(t *testing.T, addrs func() []string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				for _, a := range addrs() {
					m.Answers = append(m.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
						Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
					})
				}
			}
			out, err := m.Pack()
			if err == nil {
				pc.WriteTo(out, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

var _ exchange.Picker = (*picker)(nil)
