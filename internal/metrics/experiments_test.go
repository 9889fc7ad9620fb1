package metrics

import (
	"slices"
	"testing"

	"sidecar/internal/exchange"
)

func TestExperimentsAreCounted(t *testing.T) {
	m := New(BuildInfo{})
	steps := []struct {
		from, to string
		want     []string
	}{
		{"", "baseline", []string{"experiments_running 1"}},
		{"", "baseline", []string{"experiments_running 2"}},
		{"recovery", "held", []string{"experiments_running 1", `experiments_total{outcome="held"} 1`}},
		{"fault", "broken", []string{`experiments_total{outcome="broken"} 1`, `experiments_total{outcome="held"} 1`}},
	}
	for _, s := range steps {
		_ = m.Event(exchange.Event{Kind: exchange.Experiment, Name: "drill", From: s.from, To: s.to})
		if got := nonzero(scrape(t, m, "experiments_running", "experiments_total")); !slices.Equal(got, s.want) {
			t.Errorf("%s -> %s: %q, want %q", s.from, s.to, got, s.want)
		}
	}
	if got := scrape(t, m, "experiments_total"); len(got) != 5 {
		t.Errorf("%q, want a series for each outcome from the start", got)
	}
}
