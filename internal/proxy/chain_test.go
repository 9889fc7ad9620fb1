package proxy

import (
	"slices"
	"strings"
	"testing"
)

// everything is a policy with every kind switched on, written in an order that
// is not the chain's.
const everything = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  fault:
    slow: {delay: {fixed: 1ms}}
    chaos: {abort: {status: 503}}
  retry: {safe: {}}
  circuitBreaker: {standard: {}}
  rateLimit:
    each: {rate: 1000/s, key: [principal]}
    all: {rate: 1000/s}
  authz: {rules: {default: allow}}
  authn: {users: {issuers: [{issuer: me, secretFile: testdata/secret}]}}
  validation: {sane: {}}
routes:
  - name: all
    upstream: app
    use: {fault: [slow, chaos], retry: safe, circuitBreaker: standard, rateLimit: [each, all], authz: rules, authn: users, validation: sane}
`

func TestTheOrderIsTheMissions(t *testing.T) {
	p, _ := apply(t, everything, "http://127.0.0.1:1")
	want := []string{
		"validation/sane", "authn/users", "authz/rules", "rateLimit/each", "rateLimit/all",
		"circuitBreaker/standard@app", "retry/safe", "circuitBreaker/standard@app", "attempt",
		"fault/slow", "fault/chaos", "upstream/app",
	}
	if got := chain(p); !slices.Equal(got, want) {
		t.Errorf("chain:\n got %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}

	// The mission's sentence, word for word.
	const mission = "validation -> JWT/RBAC -> rate limiting -> circuit breaker -> retry -> fault injection"
	words := map[string]string{
		"validation": "validation", "authn": "JWT", "authz": "RBAC", "rateLimit": "rate limiting",
		"circuitBreaker": "circuit breaker", "retry": "retry", "fault": "fault injection",
	}
	last, seen := -1, map[string]bool{}
	for _, stage := range p.Snapshot().Chain("all") {
		kind := stage.Kind
		word, ok := words[kind]
		if !ok || seen[kind] {
			continue
		}
		seen[kind] = true
		at := strings.Index(mission, word)
		if at <= last {
			t.Errorf("%s stands behind what the mission puts after it", kind)
		}
		last = at
	}
	if len(seen) != len(words) {
		t.Errorf("the chain holds %d kinds, want %d", len(seen), len(words))
	}
}

func TestBuiltInDefaultsMakeTheChainOfThreeLines(t *testing.T) {
	p, _ := apply(t, minimal, "http://127.0.0.1:1")
	want := []string{
		"validation/default", "circuitBreaker/default@app", "retry/default",
		"circuitBreaker/default@app", "attempt", "upstream/app",
	}
	if got := chain(p); !slices.Equal(got, want) {
		t.Errorf("chain = %v, want %v", got, want)
	}
}

// chain returns the stages of the route all, as people read them.
func chain(p *Proxy) []string {
	var names []string
	for _, s := range p.Snapshot().Chain("all") {
		names = append(names, s.String())
	}
	return names
}
