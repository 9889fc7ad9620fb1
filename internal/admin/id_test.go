package admin

import (
	"net/http"
	"slices"
	"testing"

	"sidecar/internal/exchange"
)

// Every answer names its request, and whoever is told of it hears the same
// name; never one that the client chose.
func TestRequestsAreTold(t *testing.T) {
	const chosen = "chosen-by-the-client"
	h := newShop(t)
	var asked []exchange.Who
	hear := func(e exchange.Event) error {
		asked = append(asked, e.Who)
		return nil
	}
	h.Tell, h.object = hear, hear
	h.reload = func(who exchange.Who) (Change, error) { return Change{}, hear(exchange.Event{Who: who}) }
	var ids []string
	send := func(told bool, status int, line, body string, change ...func(*http.Request)) {
		t.Helper()
		before := len(asked)
		change = append(change, func(r *http.Request) { r.Header.Set("X-Request-Id", chosen) })
		a := ask(t, h.Handler(), line, body, change...)
		id := a.header.Get("X-Request-Id")
		if a.status != status || len(id) != 36 || slices.Contains(ids, id) {
			t.Errorf("%s: %d, X-Request-Id %q, want %d and a new one", line, a.status, id, status)
		}
		ids = append(ids, id)
		if got := len(asked) - before; told != (got == 1) {
			t.Fatalf("%s: told %d times, want it told: %v", line, got, told)
		}
		if !told {
			return
		}
		if by := asked[before]; by.RequestID != id || by.Peer.String() != "127.0.0.7:4711" {
			t.Errorf("%s: told of %q from %v, want %q", line, by.RequestID, by.Peer, id)
		}
	}
	send(false, 200, "GET /faults", "")
	send(false, 404, "GET /nowhere", "")
	send(false, 403, "GET /faults", "", func(r *http.Request) { r.Host = "evil.example" })
	send(true, 200, "PUT /faults/chaos", "")
	send(true, 200, "DELETE /faults/chaos", "")
	send(true, 200, "POST /breakers/standard@app", `{"state": "open"}`)
	send(true, 200, "POST /-/reload", "")
	h.apply(t, guarded)
	asked = nil
	send(true, 401, "PUT /faults/chaos", "", bearing("wrong"))
	send(true, 401, "PUT /faults/chaos", "")
}
