package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidecar/internal/faults"
)

func TestParseExperiment(t *testing.T) {
	e, err := ParseExperiment("x.yaml", []byte(`
name: drill
fault: {name: chaos, percent: 20, delay: {fixed: 1s}, abort: {}, body: {bandwidth: 1KiB/s}, when: {paths: [/a/**]}}
steadyState: {errorPercent: 0, p99: 500ms}
duration: 5m
`))
	if err != nil {
		t.Fatal(err)
	}
	s, f := e.SteadyState, e.Fault
	if e.Name != "drill" || e.Baseline != 30*time.Second || e.Duration != 5*time.Minute || e.Recovery != 30*time.Second {
		t.Errorf("Config = %+v", e.Config)
	}
	if s.ErrorPercent == nil || *s.ErrorPercent != 0 || s.P99 != 500*time.Millisecond || s.MinRequests != 20 {
		t.Errorf("SteadyState = %+v", s)
	}
	if f.Name != "chaos" || *f.Percent != 20 || f.Delay.Fixed != time.Second || *f.Abort != (faults.Abort{}) ||
		f.Body.Bandwidth != 1<<10 || f.When.Paths[0] != "/a/**" {
		t.Errorf("Fault = %+v", f)
	}
}

func TestWhatIsWrongWithAnExperiment(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing in it", " \n", "x:1:1: is empty: must hold at least name, fault and steadyState"},
		{"only a name", "name: a", "x:1:1: fault.name: must name a fault of the policy\nx:1:1: steadyState: must be there: without it there is nothing to disprove"},
		{"no claim", "name: a\nfault: {name: b}\nsteadyState: {minRequests: 5}", "x:3:1: steadyState: must have an errorPercent or a p99"},
		{"times that are too long", "name: a\nfault: {name: b}\nsteadyState: {p99: 1s}\nbaseline: 2h\nduration: 25h\nrecovery: 2h", `x:4:11: baseline: must be 1s to 1h0m0s, got 2h0m0s
x:5:11: duration: must be 1s to 24h0m0s, got 25h0m0s
x:6:11: recovery: must be 0s to 1h0m0s, got 2h0m0s`},
		{"a fault that is none", "name: a\nfault: {name: b, percent: 101, abort: {status: 99}, when: {methods: [get]}}\nsteadyState: {p99: 1s}", `x:2:27: fault.percent: must be 0 to 100, got 101
x:2:48: fault.abort.status: must be 200 to 599, got 99
x:2:70: fault.when.methods[0]: must be an HTTP method in capitals, got "get"`},
		{"a fault's own time", "name: a\nfault: {name: b, duration: 5m}\nsteadyState: {p99: 1s}", "x:2:18: fault.duration: unknown key; the keys here are name, percent, delay, abort, body, when"},
		{"a variable, which could be anybody's secret", "name: ${PATH}\nfault: {name: b}\nsteadyState: {p99: 1s}", "x:1:7: name: variable PATH is not set, and has no default such as ${PATH:-text}"},
		{"no mapping", "[1]", "x:1:1: must be a mapping, got a list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseExperiment("x", []byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("problems:\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// What an experiment takes from a fault may leave something that the policy has.
func TestAnExperimentMayTakeAwayFromItsFault(t *testing.T) {
	for what, good := range map[string]bool{
		"abort: {}": true, "delay: {}": true, "delay: {}, abort: {}": true, "abort: {}, body: {}": true,
		"delay: {}, abort: {}, body: {}": false,
	} {
		_, err := ParseExperiment("x", []byte("name: a\nfault: {name: b, "+what+"}\nsteadyState: {p99: 1s}"))
		if (err == nil) != good {
			t.Errorf("%s: %v, want it good: %v", what, err, good)
		}
	}
}

// Every experiment that we hand out is good.
func TestExperimentsLoad(t *testing.T) {
	files, err := filepath.Glob("../../configs/experiments/*")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseExperiment(file, text); err != nil {
			t.Error(err)
		}
	}
}

func FuzzExperiment(f *testing.F) {
	f.Add("name: a\nfault: {name: b, percent: 5, abort: {status: 503}}\nsteadyState: {errorPercent: 1, p99: 1s}\n")
	f.Add(`{"name": "a", "fault": {"name": "b"}, "steadyState": {"p99": "1s"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExperiment("x", []byte(text))
		if err != nil {
			if _, ok := err.(Problems); !ok || err.Error() == "" {
				t.Errorf("error = %v (%T), want problems", err, err)
			}
			return
		}
		if e.Name == "" || e.Fault.Name == "" || e.SteadyState == nil || e.Duration <= 0 || strings.TrimSpace(text) == "" {
			t.Errorf("%q is taken as %+v", text, e)
		}
	})
}
