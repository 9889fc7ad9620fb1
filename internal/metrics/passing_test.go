package metrics

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"sidecar/internal/exchange"
)

const passed = `policy_decisions_total{kind="authz",outcome="pass",policy="rbac",reason="",route="orders"} `

func pass(m *Metrics, rule *exchange.Decision) {
	r := &exchange.Record{Route: "orders", Method: http.MethodGet, Status: 200}
	r.Pass(rule)
	m.End(context.Background(), r)
}

func TestWhatPassesIsCountedAcrossReloads(t *testing.T) {
	m := New(BuildInfo{})
	rule := func() *exchange.Decision {
		return &exchange.Decision{Kind: exchange.Authz, Policy: "rbac", Rule: "readers", Outcome: exchange.Pass}
	}
	first, second := rule(), rule()
	m.Routes([]string{"orders"})
	pass(m, first)
	m.Routes([]string{"orders"})
	pass(m, second)
	pass(m, first) // began under the policy before
	if text := scrape(t, m, "policy_decisions_total"); !slices.Contains(text, passed+"3") {
		t.Errorf("no %s3 in %q", passed, text)
	}
	m.Routes([]string{"orders"})
	pass(m, second)
	if text := scrape(t, m, "policy_decisions_total"); !slices.Contains(text, passed+"4") {
		t.Errorf("no %s4 in %q", passed, text)
	}
}

func TestNoPassIsLostBetweenScrapesAndReloads(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"orders"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				pass(m, &exchange.Decision{Kind: exchange.Authz, Policy: "rbac", Outcome: exchange.Pass})
			}
		})
	}
	for range 5 {
		scrape(t, m)
		m.Routes([]string{"orders"})
	}
	wg.Wait()
	if text := scrape(t, m, "policy_decisions_total"); !slices.Contains(text, passed+"200") {
		t.Errorf("no %s200 in %q", passed, text)
	}
}

// Three policies with 20 rules each let pass in 8000 ways.
func TestCombinationsOfRulesAreCountedWithoutATallyForEach(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"orders"})
	const rules = 20
	var said [3][rules]*exchange.Decision
	for i, policy := range []string{"rbac", "teams", "hours"} {
		for j := range rules {
			said[i][j] = &exchange.Decision{Kind: exchange.Authz, Policy: policy, Rule: strconv.Itoa(j), Outcome: exchange.Pass}
		}
	}
	const ways = rules * rules * rules
	for range 2 {
		for i := range ways {
			r := &exchange.Record{Route: "orders", Method: http.MethodGet, Status: 200}
			r.Pass(said[0][i%rules])
			r.Pass(said[1][i/rules%rules])
			r.Pass(said[2][i/rules/rules])
			m.End(context.Background(), r)
		}
	}
	if got := len(m.routes.get("orders").passing.kept); got != maxTallies {
		t.Errorf("there are %d tallies, want %d", got, maxTallies)
	}
	if text, want := scrape(t, m, "policy_decisions_total"), passed+strconv.Itoa(2*ways); !slices.Contains(text, want) {
		t.Errorf("no %s in %q", want, text)
	}
}
