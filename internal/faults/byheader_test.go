package faults

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

func asking(caps ByHeader) func(*Config) {
	return func(c *Config) { c.ByHeader = &caps }
}

func TestRequestsAskWithinTheCaps(t *testing.T) {
	caps := ByHeader{MaxDelay: 5 * time.Second, Aborts: true, MinBandwidth: 1 << 10}
	none := ByHeader{MinBandwidth: 1 << 10}
	tests := []struct {
		name   string
		caps   ByHeader
		fields string // name=value, without x-envoy-fault-
		grpc   bool
		want   string // what is noted
	}{
		{name: "for nothing", caps: caps},
		{name: "for a delay", caps: caps, fields: "delay-request=1500", want: "fault_delay 1.5s"},
		{name: "for a delay above the cap", caps: caps, fields: "delay-request=60000", want: "fault_delay 5s"},
		{name: "for a delay beyond all", caps: caps, fields: "delay-request=4294967295", want: "fault_delay 5s"},
		{name: "for a delay where none is allowed", caps: none, fields: "delay-request=1500"},
		{name: "for an abort", caps: caps, fields: "abort-request=503", want: "fault_abort 503"},
		{name: "for an abort where none is allowed", caps: none, fields: "abort-request=503"},
		{name: "for a status that is none", caps: caps, fields: "abort-request=99"},
		{name: "for a gRPC status", caps: caps, fields: "abort-grpc-request=14", grpc: true, want: "fault_abort UNAVAILABLE"},
		{name: "for a gRPC status without gRPC", caps: caps, fields: "abort-grpc-request=14"},
		{name: "for a gRPC status that is none", caps: caps, fields: "abort-grpc-request=17", grpc: true},
		{name: "for both: the status goes first", caps: caps, fields: "abort-request=503 abort-grpc-request=14", grpc: true, want: "fault_abort 503"},
		{name: "for a slow body", caps: caps, fields: "throughput-response=64", want: "fault_body 64KiB/s"},
		{name: "for one below the cap", caps: ByHeader{MinBandwidth: 1 << 20}, fields: "throughput-response=64", want: "fault_body 1MiB/s"},
		{name: "for no throughput", caps: caps, fields: "throughput-response=0"},
		{name: "for all", caps: caps, fields: "delay-request=10 abort-request=500 throughput-response=1", want: "fault_delay 10ms, ask fault_abort 500, ask fault_body 1KiB/s"},
		{name: "for a share of nothing", caps: caps, fields: "abort-request=503 abort-request-percentage=0"},
		{name: "for a share that is no number", caps: caps, fields: "abort-request=503 abort-request-percentage=x", want: "fault_abort 503"},
		{name: "for what is no number", caps: caps, fields: "delay-request=1.5 abort-request=-5 throughput-response=+1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := call("id", 1)
				if tt.grpc {
					a = a.grpc()
				}
				for _, f := range strings.Fields(tt.fields) {
					name, value, _ := strings.Cut(f, "=")
					a.Header.Set("X-Envoy-Fault-"+name, value)
				}
				seen := http.Header{}
				next := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					seen = r.Header
					return said(10, true)(r)
				})
				resp, err := on(t, policy("ask", asking(tt.caps))).Wrap(next).RoundTrip(a.Request)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := strings.TrimPrefix(a.reasons(), "ask "); got != tt.want {
					t.Errorf("noted %q, want %q", got, tt.want)
				}
				for name := range seen {
					if strings.HasPrefix(name, "X-Envoy-Fault-") {
						t.Errorf("the upstream sees %s", name)
					}
				}
				if got := len(a.Header); tt.fields != "" && got < 1 {
					t.Error("the attempt's own header was changed, which others share")
				}
			})
		})
	}
}

// The share is the request's, up to the policy's percent.
func TestRequestsAskForNoMoreThanThePercent(t *testing.T) {
	f := policy("ask", func(c *Config) { asking(ByHeader{Aborts: true})(c); c.Percent = 50 })
	rt := on(t, f).Wrap(&upstream{})
	for asked, want := range map[string]float64{"10": 0.1, "50": 0.5, "100": 0.5, "": 0.5} {
		hits := make([]bool, 4000)
		for i := range hits {
			a := call("req-"+asked+"-"+time.Duration(i).String(), 1)
			a.Header.Set(abortField, "503")
			if asked != "" {
				a.Header.Set(abortField+percentage, asked)
			}
			resp, _ := rt.RoundTrip(a.Request)
			hits[i] = resp.StatusCode == 503
		}
		if got := share(hits); got < want-0.03 || got > want+0.03 {
			t.Errorf("asked for %q %%: broken %v, want %v", asked, got, want)
		}
	}
}

// Fields pass where no policy listens to them; where one does, they do not, also
// while it is switched off.
func TestFieldsPassUnlessAPolicyListens(t *testing.T) {
	for name, tt := range map[string]struct {
		f    Named
		pass bool
	}{
		"another fault": {policy("chaos", disabled), true},
		"one that asks": {policy("ask", asking(ByHeader{})), false},
	} {
		s := NewSwitch(nil)
		s.Sync([]Named{tt.f})
		a, passed := call("id", 1), false
		a.Header.Set(delayField, "1")
		next := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			passed = r.Header.Get(delayField) == "1"
			return nil, nil
		})
		_, _ = New(s, []Named{tt.f}).Wrap(next).RoundTrip(a.Request)
		if passed != tt.pass || a.Header.Get(delayField) != "1" {
			t.Errorf("%s: passed %v, want %v", name, passed, tt.pass)
		}
	}
}
