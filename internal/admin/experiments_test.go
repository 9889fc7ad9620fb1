package admin

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/experiment"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
)

// switches is a fault as experiments want it.
type switches struct {
	*faults.Switch
	e *policy.Experiment
}

func (s switches) Name() string { return s.e.Fault.Name }

func (s switches) Try() error { return s.Switch.Try(s.Name(), s.e.Fault.Toggle) }

func (s switches) On(d time.Duration, who exchange.Who) (experiment.Hold, error) {
	s.e.Fault.Toggle.Duration = d
	h, err := s.Hold(s.Name(), s.e.Fault.Toggle, who)
	return h, err
}

func withExperiments(t *testing.T) *house {
	t.Helper()
	h := newShop(t)
	h.Experiments = experiment.New(h.event)
	h.StartExperiment = func(e *policy.Experiment, lease time.Duration, who exchange.Who) (experiment.Report, error) {
		e.Fault.Toggle.Duration = e.Duration
		return h.Experiments.Start(e.Config, switches{h.Faults, e}, []string{"all"}, lease, who)
	}
	return h
}

const drill = "name: drill\nfault: {name: chaos, percent: 20}\nsteadyState: {errorPercent: 1}\n"

func TestExperiments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := withExperiments(t)
		admin := h.Handler()
		a := ask(t, admin, "POST /experiments?lease=10s", drill)
		at := a.header.Get("Location")
		if id, _ := a.doc["id"].(string); a.status != 202 || at != "/experiments/"+id || id == "" || a.doc["phase"] != "baseline" || a.doc["by"] != "127.0.0.7" {
			t.Fatalf("POST: %d at %q, %v, want 202, its place, in its baseline", a.status, at, a.doc)
		}
		if got, want := h.told(), []string{"127.0.0.7: experiment drill:  -> baseline"}; !slices.Equal(got, want) {
			t.Errorf("POST tells %q, want %q", got, want)
		}
		time.Sleep(9 * time.Second)
		if a := ask(t, admin, "PUT "+at+"/lease", ""); a.status != 200 || a.doc["phase"] != "baseline" {
			t.Errorf("renewed: %d %v, want 200", a.status, a.doc)
		}
		time.Sleep(9 * time.Second)
		if a := ask(t, admin, "POST /experiments", drill); a.status != 409 || !strings.Contains(a.detail(), `another experiment has the fault "chaos"`) {
			t.Errorf("a second one: %d %q, want 409", a.status, a.detail())
		}
		if a := ask(t, admin, "DELETE "+at, ""); a.status != 200 || a.doc["outcome"] != "aborted" || a.doc["why"] != "aborted by 127.0.0.7" {
			t.Errorf("DELETE: %d %v, want 200 and it aborted", a.status, a.doc)
		}
		if a := ask(t, admin, "GET /experiments", ""); len(a.doc["experiments"].([]any)) != 1 {
			t.Errorf("GET /experiments: %v, want one", a.doc)
		}
		if a := ask(t, admin, "GET "+at, ""); a.status != 200 || a.doc["name"] != "drill" {
			t.Errorf("GET: %d %v, want drill", a.status, a.doc)
		}
		h.Experiments.Close()
	})
}

func TestExperimentsThatDoNotBegin(t *testing.T) {
	h := withExperiments(t)
	admin := h.Handler()
	if _, err := h.Faults.On("chaos", faults.Toggle{}, exchange.Who{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		line, body string
		status     int
		says       string
	}{
		{"POST /experiments", "", 400, "experiment:1:1: is empty"},
		{"POST /experiments", "name: [", 400, "is not YAML"},
		{"POST /experiments", strings.Replace(drill, "percent: 20", "percent: 200", 1), 400, "experiment:2:31: fault.percent: must be 0 to 100, got 200"},
		{"POST /experiments", drill + "duration: 20m", 409, "is on already"},
		{"POST /experiments", strings.Replace(drill, "chaos", "none", 1), 404, "no such fault in the policy; GET /faults lists them"},
		{"POST /experiments?lease=x", drill, 400, `lease: must be a duration of 1s to 1h0m0s, got \"x\"`},
		{"POST /experiments?lease=2h", drill, 400, "lease: must be"},
		{"POST /experiments", strings.Repeat(" ", maxBody+1), 413, "at most 65536 bytes"},
		{"GET /experiments/x", "", 404, "no such experiment"},
		{"DELETE /experiments/x", "", 404, "no such experiment"},
		{"PUT /experiments/x/lease", "", 404, "no such experiment"},
	}
	for _, tt := range tests {
		if a := ask(t, admin, tt.line, tt.body); a.status != tt.status || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s %.60q: %d %s, want %d with %q", tt.line, tt.body, a.status, a.body, tt.status, tt.says)
		}
	}
	if _, err := h.Faults.Off("chaos", exchange.Who{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	a := ask(t, admin, "POST /experiments", drill+"duration: 20m")
	if want := `duration: must be 1s to the policy's maxDuration of 10m0s, got 20m0s`; a.status != 400 || !strings.Contains(a.detail(), want) {
		t.Errorf("longer than the policy allows: %d %q, want 400 and %q", a.status, a.detail(), want)
	}
	if got := len(h.Experiments.List()); got != 0 {
		t.Errorf("%d have begun, want none", got)
	}
}
