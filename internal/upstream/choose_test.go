package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

func weigh(weights ...int) func(*Config) {
	return func(c *Config) {
		for i, w := range weights {
			c.Endpoints[i].Weight = w
		}
	}
}

func TestTurnsGoByWeightAndAreSpreadEvenly(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		want    string // the last octets of ten calls
	}{
		{"the same weight", []int{1, 1, 1}, "1231231231"},
		{"a common factor makes no difference", []int{50, 50, 50}, "1231231231"},
		{"three to one", []int{3, 1, 0}, "1121112111"},
		{"five to one to one is no burst of five", []int{5, 1, 1}, "1211131121"},
		{"weight 0 gets none", []int{0, 1, 1}, "2323232323"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := new(network).upstream(t, weigh(tt.weights...), three...)
			var got strings.Builder
			for range 10 {
				endpoint, _ := take(t, u)
				got.WriteString(endpoint[len("10.0.0."):][:1])
			}
			wantText(t, "turns", got.String(), tt.want)
		})
	}
}

func TestAWheelKeepsItsSharesAndItsBound(t *testing.T) {
	for _, shares := range [][]int64{{1}, {7, 7, 7}, {100, 1}, {100, 99, 98, 1}, {20, 1}, slices.Repeat([]int64{97, 100}, 500)} {
		var slots []slot
		var total int64
		for _, s := range shares {
			slots, total = append(slots, slot{&endpoint{}, s}), total+s
		}
		around := wheel(slots)
		if len(around) > maxWheel+len(slots) {
			t.Errorf("a wheel of %d shares has %d turns, want at most %d", len(shares), len(around), maxWheel)
		}
		for _, s := range slots {
			n := 0
			for _, turn := range around {
				if turn.endpoint == s.endpoint {
					n++
				}
			}
			got, want := float64(n)/float64(len(around)), float64(s.share)/float64(total)
			if got < .9*want || got > 1.1*want || n == 0 {
				t.Errorf("%d of %d: has %.4f of the turns, want %.4f", s.share, total, got, want)
			}
		}
	}
}

func least(c *Config) { c.Balance = LeastRequest }

func TestTheLessBusyOneOfTwoIsCalled(t *testing.T) {
	tests := []struct {
		name    string
		busy    [2]int64 // calls in flight
		weights [2]int
		want    string // of 200 calls that end at once; empty: both get some
	}{
		{"nobody is busy", [2]int64{0, 0}, [2]int{1, 1}, ""},
		{"one is busier", [2]int64{3, 2}, [2]int{1, 1}, "10.0.0.2:80 x200"},
		{"one is a bit busier", [2]int64{0, 1}, [2]int{1, 1}, "10.0.0.1:80 x200"},
		{"one is busier, and may be", [2]int64{2, 1}, [2]int{2, 1}, ""},
		{"one is busier than its weight", [2]int64{9, 1}, [2]int{2, 1}, "10.0.0.2:80 x200"},
		{"one hangs", [2]int64{1000, 0}, [2]int{100, 1}, "10.0.0.2:80 x200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := new(network).upstream(t, func(c *Config) {
				least(c)
				weigh(tt.weights[:]...)(c)
			}, three[:2]...)
			for i, n := range tt.busy {
				u.endpoints[i].inFlight.Add(n)
				defer u.endpoints[i].inFlight.Add(-n)
			}
			got := callers(t, u, 200)
			if both := strings.Contains(got, ","); tt.want == "" && !both || tt.want != "" && got != tt.want {
				t.Errorf("called %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLeastRequestGoesByWeightWhenNobodyIsBusy(t *testing.T) {
	u := new(network).upstream(t, func(c *Config) {
		least(c)
		weigh(9, 1)(c)
	}, three[:2]...)
	heavy := 0
	for range 2000 {
		if endpoint, _ := take(t, u); endpoint == "10.0.0.1:80" {
			heavy++
		}
	}
	if heavy < 1700 || heavy > 1900 {
		t.Errorf("of 2000 calls the one of weight 9 got %d beside the one of weight 1, want about 1800", heavy)
	}
}

func TestAnotherAttemptGoesToAnotherEndpoint(t *testing.T) {
	for _, balance := range []string{RoundRobin, LeastRequest} {
		t.Run(balance, func(t *testing.T) {
			u := new(network).upstream(t, func(c *Config) { c.Balance = balance }, three...)
			for range 50 {
				ctx := request("GET", "/", "").Context()
				var got []string
				for range 3 {
					endpoint, _ := attempt(t, u, ctx)
					got = append(got, endpoint)
				}
				slices.Sort(got)
				if len(slices.Compact(got)) != 3 {
					t.Fatalf("three attempts went to %v, want each to another", got)
				}
				if endpoint, _ := attempt(t, u, ctx); endpoint == "" {
					t.Fatal("the fourth went nowhere, want anywhere: all were called")
				}
			}
		})
	}
}

// A retry that took the turn of the next endpoint would leave all first calls to
// the one that fails.
func TestARetryTakesNobodysTurn(t *testing.T) {
	for _, urls := range [][]string{three[:2], three} {
		u := new(network).upstream(t, nil, urls...)
		first := map[string]int{}
		for range 60 {
			ctx := request("GET", "/", "").Context()
			endpoint, _ := attempt(t, u, ctx)
			first[endpoint]++
			if endpoint == addr1 {
				attempt(t, u, ctx)
			}
		}
		if want := 60 / len(urls); first[addr1] != want {
			t.Errorf("of 60 first calls to %d endpoints the one that fails got %d, want %d", len(urls), first[addr1], want)
		}
	}
}

func TestHedgesAtOnceGoToDifferentEndpoints(t *testing.T) {
	u := new(network).upstream(t, nil, three...)
	ctx := request("GET", "/", "").Context()
	attempt(t, u, ctx)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { attempt(t, u, ctx) })
	}
	wg.Wait()
	if got := len(exchange.From(ctx).Called()); got != 9 {
		t.Errorf("the record knows of %d calls, want 9", got)
	}
}

// picker allows all but some, and at each Pick takes the answer from full.
type picker struct {
	denied []string
	full   map[string]bool
	picked []string
}

func (p *picker) Allows(endpoint string) bool { return !slices.Contains(p.denied, endpoint) }

func (p *picker) Pick(endpoint string) bool {
	if p.full[endpoint] {
		p.denied = append(p.denied, endpoint)
		return false
	}
	p.picked = append(p.picked, endpoint)
	return true
}

var errNone = errors.New("none is allowed")

func (p *picker) None() error { return errNone }

func TestAPickerHasTheLastWord(t *testing.T) {
	const a, b, c = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"
	tests := []struct {
		name string
		p    picker
		urls []string
		want string // of 60 calls
	}{
		{"what it denies is not called, and the others share that", picker{denied: []string{a}}, three, b + " x30, " + c + " x30"},
		{"a place that was taken in between", picker{full: map[string]bool{a: true, b: true}}, three, c + " x60"},
		{"it allows none", picker{denied: []string{a, b, c}}, three, " x60"},
		{"the one that there is", picker{}, three[:1], a + " x60"},
		{"the one that there is, and not that", picker{denied: []string{a}}, three[:1], " x60"},
	}
	for _, tt := range tests {
		for _, balance := range []string{RoundRobin, LeastRequest} {
			t.Run(tt.name+"/"+balance, func(t *testing.T) {
				u := new(network).upstream(t, func(c *Config) { c.Balance = balance }, tt.urls...)
				counts, none := map[string]int{}, 0
				for range 60 {
					p := tt.p
					p.denied = slices.Clone(p.denied)
					endpoint, end := attempt(t, u, exchange.WithPicker(request("GET", "/", "").Context(), &p))
					counts[endpoint]++
					if end == errNone.Error() {
						none++
					}
					if endpoint != "" && !slices.Equal(p.picked, []string{endpoint}) {
						t.Errorf("picked %v, called %s", p.picked, endpoint)
					}
				}
				if balance == RoundRobin {
					wantText(t, "called", text(counts), tt.want)
				}
				if counts[""] != none {
					t.Errorf("%d calls went nowhere, %d of them with its word", counts[""], none)
				}
				for _, denied := range tt.p.denied {
					if counts[denied] > 0 {
						t.Errorf("%s was denied and called", denied)
					}
				}
			})
		}
	}
}

func text(counts map[string]int) string {
	var all []string
	for endpoint, n := range counts {
		all = append(all, fmt.Sprintf("%s x%d", endpoint, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestTheBodyIsClosedWhereNoneIsAllowed(t *testing.T) {
	u := new(network).upstream(t, nil, three...)
	body := &closes{}
	r := request("POST", "/", "").WithContext(exchange.WithPicker(context.Background(), &picker{denied: u.Hosts()}))
	r.Body = body
	if _, err := u.RoundTrip(r); !errors.Is(err, errNone) || !body.closed {
		t.Errorf("error %v, body closed: %t; want %v and true", err, body.closed, errNone)
	}
}

type closes struct{ closed bool }

func (c *closes) Read([]byte) (int, error) { return 0, errors.New("not to be read") }

func (c *closes) Close() error {
	c.closed = true
	return nil
}

// The happy path's cost is the product's promise.
func TestAChoiceAllocatesNothing(t *testing.T) {
	for name, tt := range choices() {
		u := to(t, tt.change, tt.urls...)
		var requests []*http.Request
		for range 101 { // one more than is measured
			requests = append(requests, request("GET", "/", "").Request)
		}
		if got := testing.AllocsPerRun(100, func() {
			r := requests[0]
			requests = requests[1:]
			if _, err := u.choose(r); err != nil {
				t.Error(err)
			}
		}); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
}

type chosen struct {
	change func(*Config)
	urls   []string
	most   float64
}

func choices() map[string]chosen {
	var hundred []string
	for i := range 100 {
		hundred = append(hundred, fmt.Sprintf("http://10.0.0.%d:80", i))
	}
	all := func(c *Config) {
		least(c)
		c.SlowStart, c.Outlier = time.Minute, &Outlier{}
		c.Outlier.SetDefaults()
	}
	return map[string]chosen{
		"1":                {nil, three[:1], 0},
		"3":                {nil, three, 0},
		"3/leastRequest":   {all, three, 0},
		"100":              {nil, hundred, 0},
		"100/leastRequest": {all, hundred, 0},
	}
}
