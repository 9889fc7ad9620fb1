package metrics

import (
	"slices"
	"testing"

	"sidecar/internal/exchange"
)

func TestRefusedCredentialsOfAdminAreCounted(t *testing.T) {
	m := New(BuildInfo{})
	const name = "admin_auth_failures_total"
	for _, kind := range []string{exchange.Admin, exchange.Fault, exchange.Admin} {
		_ = m.Event(exchange.Event{Kind: kind})
	}
	if got, want := scrape(t, m, name), []string{name + " 2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
