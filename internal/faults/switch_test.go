package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func ptr[T any](v T) *T { return &v }

// wantActive tells what counts: the status, and what a call meets.
func wantActive(t *testing.T, s *Switch, f Named, want bool) {
	t.Helper()
	status, ok := s.Get(f.Name)
	if !ok {
		t.Fatalf("Get(%q) knows no such fault", f.Name)
	}
	resp, _ := call("id", 1).send(t, New(s, []Named{f}), &upstream{})
	if got := resp.StatusCode == 503; status.Active != want || got != want {
		t.Errorf("active = %v, calls broken = %v, want %v", status.Active, got, want)
	}
}

func enabled(c *Config) { c.Enabled, c.Abort.Status, c.MaxDuration = true, 503, 10*time.Minute }

func disabled(c *Config) { enabled(c); c.Enabled = false }

func TestAnEnabledFaultRunsFromWhenItWasFirstSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := NewSwitch(nil), policy("chaos", enabled)
		s.Sync([]Named{f})
		wantActive(t, s, f, true)

		time.Sleep(9 * time.Minute)
		s.Sync([]Named{f}) // a reload does not restart it
		time.Sleep(time.Minute - time.Nanosecond)
		wantActive(t, s, f, true)
		time.Sleep(time.Nanosecond)
		wantActive(t, s, f, false)
		s.Sync([]Named{f})
		wantActive(t, s, f, false)

		s.Sync([]Named{policy("chaos", disabled)})
		s.Sync([]Named{f}) // switched off in the file and on again
		wantActive(t, s, f, true)
	})
}

func TestAnOperatorsWordRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := NewSwitch(nil), policy("chaos", disabled)
		s.Sync([]Named{f})
		wantActive(t, s, f, false)
		status, err := s.On("chaos", Toggle{Duration: time.Minute}, by("ann"))
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Now().Add(time.Minute); !status.ExpiresAt.Equal(want) || status.SetBy != "ann" {
			t.Errorf("On = until %v by %q, want until %v by ann", status.ExpiresAt, status.SetBy, want)
		}
		s.Sync([]Named{f}) // carried over a reload
		time.Sleep(time.Minute - time.Nanosecond)
		wantActive(t, s, f, true)
		time.Sleep(time.Nanosecond)
		wantActive(t, s, f, false)
		if s.running.Load() != nil {
			t.Error("a fault that has run out still costs the calls something")
		}

		if _, err := s.On("chaos", Toggle{}, by("ann")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute - time.Nanosecond) // the policy's maxDuration
		wantActive(t, s, f, true)
		time.Sleep(time.Nanosecond)
		wantActive(t, s, f, false)
	})
}

func TestOffStopsWhatTheFileEnables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := NewSwitch(nil), policy("chaos", enabled)
		s.Sync([]Named{f})
		status, err := s.Off("chaos", by("ann"))
		if err != nil || status.Active || status.SetBy != "ann" {
			t.Errorf("Off = %+v, %v, want inactive by ann", status, err)
		}
		wantActive(t, s, f, false)
		s.Sync([]Named{f}) // a reload is not a word
		wantActive(t, s, f, false)
		if _, err := s.On("chaos", Toggle{}, by("bob")); err != nil {
			t.Fatal(err)
		}
		wantActive(t, s, f, true)
	})
}

func TestAFileThatEnablesAgainHasTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off, on := policy("chaos", disabled), policy("chaos", enabled)
		s := NewSwitch(nil)
		s.Sync([]Named{on})
		if _, err := s.Off("chaos", by("ann")); err != nil {
			t.Fatal(err)
		}
		s.Sync([]Named{off})
		s.Sync([]Named{on})
		wantActive(t, s, on, true)

		// But what an operator has running goes on, in either direction.
		if _, err := s.On("chaos", Toggle{Duration: time.Minute}, by("ann")); err != nil {
			t.Fatal(err)
		}
		s.Sync([]Named{off})
		wantActive(t, s, off, true)
		s.Sync([]Named{on})
		if got, _ := s.Get("chaos"); got.SetBy != "ann" {
			t.Errorf("SetBy = %q, want ann", got.SetBy)
		}
	})
}

func TestAVanishedFaultIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := NewSwitch(nil), policy("chaos", disabled)
		s.Sync([]Named{f})
		if _, err := s.On("chaos", Toggle{}, by("ann")); err != nil {
			t.Fatal(err)
		}
		s.Sync(nil)
		if _, ok := s.Get("chaos"); ok || s.running.Load() != nil {
			t.Error("the fault is still known")
		}
		s.Sync([]Named{f})
		wantActive(t, s, f, false)
	})
}

func TestAToggleChangesWhatThePolicySays(t *testing.T) {
	f := policy("chaos", disabled)
	s := NewSwitch(nil)
	s.Sync([]Named{f})
	toggle := Toggle{
		Abort: &Abort{Status: 418},
		When:  &When{Headers: map[string]string{"x-chaos": "yes"}},
	}
	if _, err := s.On("chaos", toggle, by("ann")); err != nil {
		t.Fatal(err)
	}
	toggle.When.Headers["x-chaos"] = "no" // the Switch has its own
	faults := New(s, []Named{f})
	a := call("id", 1)
	if resp, _ := a.send(t, faults, &upstream{}); resp.StatusCode != 200 {
		t.Errorf("status without the field = %d, want 200", resp.StatusCode)
	}
	a.Header.Set("X-Chaos", "yes")
	if resp, _ := a.send(t, faults, &upstream{}); resp.StatusCode != 418 {
		t.Errorf("status with the field = %d, want 418", resp.StatusCode)
	}
	got, _ := s.Get("chaos")
	if got.Injected != 1 || got.Percent != 100 || got.Abort.Status != 418 {
		t.Errorf("Get = %+v, want 1 injected, percent 100, abort 418", got)
	}
	if _, err := s.Off("chaos", by("ann")); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Get("chaos"); got.Abort.Status != 503 || got.When.Headers != nil {
		t.Errorf("Get after Off = %+v, want what the policy says", got)
	}
}

func TestOnRefuses(t *testing.T) {
	tests := []struct {
		name   string
		fault  string
		toggle Toggle
		want   string
	}{
		{"a percent above 100", "chaos", Toggle{Percent: ptr(150.0)}, `fault "chaos": percent: must be 0 to 100, got 150`},
		{"a status that is none", "chaos", Toggle{Abort: &Abort{Status: 99}}, `fault "chaos": abort.status: must be 200 to 599, got 99`},
		{"a negative delay", "chaos", Toggle{Delay: &Delay{Fixed: -1}}, `fault "chaos": delay.fixed: must be 0s to 1h0m0s, got -1ns`},
		{"a bad header name", "chaos", Toggle{When: &When{Headers: map[string]string{"a b": "*"}}}, `fault "chaos": when.headers.a b: must be a header name, got "a b"`},
		{"to break nothing", "chaos", Toggle{Abort: &Abort{}}, `fault "chaos": must have a delay, an abort, a body or byHeader`},
		{"more than maxDuration", "chaos", Toggle{Duration: time.Hour}, `fault "chaos": duration: must be 1s to the policy's maxDuration of 10m0s, got 1h0m0s`},
		{"a negative duration", "chaos", Toggle{Duration: -time.Second}, `fault "chaos": duration: must be 1s to the policy's maxDuration of 10m0s, got -1s`},
		{"what the policy does not name", "chaot", Toggle{}, `fault "chaot": no such fault in the policy`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSwitch(func(exchange.Event) error { t.Error("an event was emitted"); return nil })
			s.Sync([]Named{policy("chaos", disabled)})
			_, err := s.On(tt.fault, tt.toggle, by("ann"))
			if err == nil || err.Error() != tt.want {
				t.Errorf("On = %v, want %s", err, tt.want)
			}
			if got := tt.fault != "chaos"; errors.Is(err, ErrUnknown) != got {
				t.Errorf("errors.Is(err, ErrUnknown) = %v, want %v", !got, got)
			}
			if got, _ := s.Get("chaos"); got.Active {
				t.Error("the fault is on")
			}
		})
	}
	if _, err := NewSwitch(nil).Off("chaos", by("ann")); !errors.Is(err, ErrUnknown) {
		t.Errorf("Off of an unknown fault = %v, want ErrUnknown", err)
	}
}

func TestEveryChangeIsToldBeforeItIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Switch
		var told []string
		s = NewSwitch(func(e exchange.Event) error {
			status, _ := s.Get(e.Name)
			told = append(told, fmt.Sprintf("%s %s %s->%s by %s line %d [%s] is %v", e.Kind, e.Name, e.From, e.To, e.Who, e.Line, e.Detail, status.Active))
			return nil
		})
		s.Sync([]Named{policy("chaos", disabled)})
		steps := []func() (Status, error){
			func() (Status, error) { return s.Off("chaos", by("ann")) }, // changes nothing
			func() (Status, error) { return s.On("chaos", Toggle{Delay: &Delay{Fixed: time.Second}}, by("ann")) },
			func() (Status, error) { return s.On("chaos", Toggle{Percent: ptr(5.0)}, by("bob")) },
			func() (Status, error) { return s.Off("chaos", by("ann")) },
			func() (Status, error) { return s.Off("chaos", by("ann")) }, // changes nothing
		}
		for _, step := range steps {
			if _, err := step(); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"fault chaos off->on by ann line 7 [percent 100, delay 1s, abort 503, until 2000-01-01T00:10:00Z] is false",
			"fault chaos on->on by bob line 7 [percent 5, abort 503, until 2000-01-01T00:10:00Z] is true",
			"fault chaos on->off by ann line 7 [] is true",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestAChangeThatCannotBeToldIsNotMade(t *testing.T) {
	full := errors.New("audit log is full")
	var refuse error
	s := NewSwitch(func(exchange.Event) error { return refuse })
	f := policy("chaos", disabled)
	s.Sync([]Named{f})
	refuse = full
	if _, err := s.On("chaos", Toggle{}, by("ann")); !errors.Is(err, full) {
		t.Errorf("On = %v, want %v", err, full)
	}
	wantActive(t, s, f, false)
	refuse = nil
	if _, err := s.On("chaos", Toggle{}, by("ann")); err != nil {
		t.Fatal(err)
	}
	refuse = full
	if _, err := s.Off("chaos", by("ann")); !errors.Is(err, full) {
		t.Errorf("Off = %v, want %v", err, full)
	}
	wantActive(t, s, f, true)
}

func TestListIsSortedByName(t *testing.T) {
	s := NewSwitch(nil)
	s.Sync([]Named{policy("b", disabled), policy("c", enabled), policy("a", disabled)})
	var got []string
	for _, status := range s.List() {
		got = append(got, fmt.Sprintf("%s:%v:%s", status.Name, status.Active, status.SetBy))
	}
	if want := []string{"a:false:", "b:false:", "c:true:policy"}; !cmp.Equal(got, want) {
		t.Errorf("List = %v, want %v", got, want)
	}
}

func TestASwitchIsSafeForConcurrentUse(t *testing.T) {
	s := NewSwitch(func(exchange.Event) error { return nil })
	fs := []Named{policy("a", enabled), policy("b", disabled)}
	s.Sync(fs)
	faults := New(s, fs)
	steps := []func(){
		func() { s.Sync(fs) },
		func() { s.On("b", Toggle{When: &When{Methods: []string{"POST"}}}, by("ann")) },
		func() { s.Off("a", by("bob")); s.On("a", Toggle{}, by("bob")) },
		func() { s.List(); s.Get("a"); s.refresh() },
		func() {
			if resp, err := faults.Wrap(&upstream{}).RoundTrip(call("id", 1).Request); err == nil {
				resp.Body.Close()
			}
		},
	}
	var wg sync.WaitGroup
	for _, step := range steps {
		wg.Go(func() {
			for range 200 {
				step()
			}
		})
	}
	wg.Wait()
}

func TestAToggleIsReadStrictly(t *testing.T) {
	tests := []struct {
		name, text string
		want       Toggle
		err        string // a part of it
	}{
		{name: "nothing", text: `{}`},
		{
			name: "all", text: `{"percent": 5, "delay": {"fixed": "300ms", "jitter": "100ms"}, "abort": {"status": 503},
			"body": {"bandwidth": "64KiB/s", "truncateAfter": "1KiB", "corrupt": 0.5},
			"when": {"methods": ["GET"], "paths": ["/a/**"], "principals": ["job:*"], "headers": {"X-Chaos": "*"}}, "duration": "5m"}`,
			want: Toggle{
				Percent: ptr(5.0), Delay: &Delay{Fixed: 300 * time.Millisecond, Jitter: 100 * time.Millisecond}, Abort: &Abort{Status: 503},
				Body:     &Body{64 << 10, 1 << 10, 0.5},
				When:     &When{Methods: []string{"GET"}, Paths: []string{"/a/**"}, Principals: []string{"job:*"}, Headers: map[string]string{"X-Chaos": "*"}},
				Duration: 5 * time.Minute,
			},
		},
		{name: "an unknown key", text: `{"percnt": 5}`, err: `unknown field "percnt"`},
		{name: "an unknown key below", text: `{"abort": {"code": 5}}`, err: `unknown field "code"`},
		{name: "an unknown key in delay", text: `{"delay": {"fix": "1s"}}`, err: `unknown field "fix"`},
		{name: "an unknown key in body", text: `{"body": {"truncate": 1}}`, err: `unknown field "truncate"`},
		{name: "a bandwidth that is none", text: `{"body": {"bandwidth": "64KiB"}}`, err: `must be a bandwidth such as 64KiB/s, up to 1GiB/s, got "64KiB"`},
		{name: "a bad duration", text: `{"duration": "5"}`, err: `duration: must be a duration such as 300ms or 5m, got "5"`},
		{name: "a bad delay", text: `{"delay": {"fixed": "x"}}`, err: `delay.fixed: must be a duration such as 300ms or 5m, got "x"`},
		{name: "a bad jitter", text: `{"delay": {"jitter": "x"}}`, err: `delay.jitter: must be`},
		{name: "a number for a duration", text: `{"duration": 5}`, err: "cannot unmarshal number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Toggle
			err := json.Unmarshal([]byte(tt.text), &got)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Toggle (-want +got):\n%s", diff)
			}
			again, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var back Toggle
			if err := json.Unmarshal(again, &back); err != nil || !cmp.Equal(got, back) {
				t.Errorf("%s reads back as %+v, %v", again, back, err)
			}
		})
	}
}

func FuzzToggle(f *testing.F) {
	f.Add([]byte(`{"percent": 5, "delay": {"fixed": "300ms"}, "abort": {"grpc": "UNAVAILABLE"}, "duration": "5m"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, b Toggle
		if json.Unmarshal(text, &a) != nil {
			return
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &b); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		third, err := json.Marshal(b)
		if err != nil || string(again) != string(third) {
			t.Errorf("%s reads back as %s, %v", again, third, err)
		}
	})
}

func TestAStatusAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(nil)
		s.Sync([]Named{policy("chaos", func(c *Config) {
			disabled(c)
			c.Delay = Delay{Fixed: 300 * time.Millisecond, Jitter: 100 * time.Millisecond}
			c.When.Methods = []string{"GET"}
		})})
		tell := func() string {
			status, _ := s.Get("chaos")
			status.ExpiresAt = status.ExpiresAt.UTC()
			text, err := json.Marshal(status)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		const settings = `"percent":100,"delay":{"fixed":"300ms","jitter":"100ms"},"abort":{"status":503},"when":{"methods":["GET"]}`
		if got, want := tell(), `{"name":"chaos","active":false,`+settings+`,"injected":0}`; got != want {
			t.Errorf("off:\n got %s\nwant %s", got, want)
		}
		if _, err := s.On("chaos", Toggle{Duration: time.Minute}, by("ann")); err != nil {
			t.Fatal(err)
		}
		want := `{"name":"chaos","active":true,` + settings + `,"expiresAt":"2000-01-01T00:01:00Z","setBy":"ann","injected":0}`
		if got := tell(); got != want {
			t.Errorf("on:\n got %s\nwant %s", got, want)
		}
	})
}

func TestAFaultInShadowSaysSo(t *testing.T) {
	for mode, want := range map[exchange.Mode]string{
		exchange.ModeEnforce: "percent 100, abort 503, until ",
		exchange.ModeShadow:  "in shadow, nothing is broken, percent 100, abort 503, until ",
	} {
		shadow := mode == exchange.ModeShadow
		var told exchange.Event
		s := NewSwitch(func(e exchange.Event) error { told = e; return nil })
		s.Sync([]Named{policy("chaos", func(c *Config) { disabled(c); c.Mode = mode })})
		status, err := s.On("chaos", Toggle{}, by("ann"))
		if err != nil || !strings.HasPrefix(told.Detail, want) || told.Shadow != shadow {
			t.Errorf("%v: told as %+v, %v, want %q and shadow %v", mode, told, err, want, shadow)
		}
		text, _ := json.Marshal(status)
		if got := strings.Contains(string(text), `"shadow":true`); got != shadow {
			t.Errorf("%v: status %s, want shadow %v", mode, text, shadow)
		}
	}
}
