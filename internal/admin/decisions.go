package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// kept is how many decisions are remembered.
const kept = 500

// What a decision says is cut where it is longer: clients choose what stands
// in it, and must not choose how much memory it takes.
const (
	maxMethod = 32
	maxDetail = 1 << 10
)

// Decisions is an observer that remembers the last decisions that were not a
// plain pass. Its zero value is ready. It is safe for concurrent use; an
// exchange that every policy lets pass costs it nothing.
type Decisions struct {
	exchange.NoAttempts

	mu   sync.Mutex // guards all below
	ring [kept]decision
	n    int // how many there were, ever
}

// decision is one as it is told.
type decision struct {
	Time      time.Time        `json:"time"` // when the exchange had ended
	RequestID string           `json:"requestId"`
	Route     string           `json:"route"`
	Method    string           `json:"method"`
	Kind      string           `json:"kind"`
	Policy    string           `json:"policy,omitempty"`
	Rule      string           `json:"rule,omitempty"`
	Outcome   exchange.Outcome `json:"outcome"`
	Reason    exchange.Reason  `json:"reason,omitempty"`
	Detail    string           `json:"detail,omitempty"`
	Line      int              `json:"line,omitempty"`
}

// Moments implements exchange.Selective.
func (*Decisions) Moments() exchange.Moments { return exchange.AtEnd }

// Begin does nothing: a decision is told when its exchange has ended.
func (d *Decisions) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

// End remembers what the policies said, unless it is nothing but pass.
func (d *Decisions) End(_ context.Context, r *exchange.Record) {
	if !r.Notable() {
		return
	}
	at := r.Start.Add(r.Took).UTC()
	id, method := strings.Clone(r.ID), exchange.Clip(r.Method, maxMethod) // the head that they are part of is not kept
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range r.Notes() {
		if s.Notable() {
			d.ring[d.n%kept] = decision{
				at, id, r.Route, method, s.Kind, s.Policy, s.Rule, s.Outcome, s.Reason,
				exchange.Clip(s.Detail, maxDetail), s.Line,
			}
			d.n++
		}
	}
}

// last returns at most limit of the decisions on the request id, or on any if
// id is empty, the newest first.
func (d *Decisions) last(id string, limit int) []decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := []decision{}
	for i := d.n - 1; i >= max(0, d.n-kept) && len(found) < limit; i-- {
		if at := d.ring[i%kept]; id == "" || at.RequestID == id {
			found = append(found, at)
		}
	}
	return found
}

func (a *Admin) listDecisions(w http.ResponseWriter, r *http.Request) {
	query, limit := r.URL.Query(), kept
	for key := range query {
		if key != "request" && key != "limit" {
			fail(w, http.StatusBadRequest, fmt.Sprintf("the query takes request and limit, got %q", key))
			return
		}
	}
	if text := query.Get("limit"); query.Has("limit") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > kept {
			fail(w, http.StatusBadRequest, fmt.Sprintf("limit: must be 1 to %d, got %q", kept, text))
			return
		}
		limit = n
	}
	reply(w, http.StatusOK, map[string]any{"decisions": a.Decisions.last(query.Get("request"), limit)})
}
