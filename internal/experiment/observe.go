package experiment

import (
	"context"
	"slices"

	"sidecar/internal/exchange"
)

// ticket is a request that a trial measures, and when it began.
type ticket struct {
	trial *trial
	phase Phase
}

type ticketsKey struct{}

// Moments implements exchange.Selective.
func (*Experiments) Moments() exchange.Moments { return exchange.AtBegin | exchange.AtEnd }

// Begin gives the exchange a ticket of each trial that measures its route.
// While no experiment runs it costs one atomic load.
func (e *Experiments) Begin(ctx context.Context, r *exchange.Record) context.Context {
	live := e.live.Load()
	if live == nil {
		return ctx
	}
	var tickets []ticket
	for _, t := range *live {
		if slices.Contains(t.routes, r.Route) {
			tickets = append(tickets, ticket{t, t.began()})
		}
	}
	if tickets == nil {
		return ctx
	}
	return context.WithValue(ctx, ticketsKey{}, tickets)
}

// End takes the tickets back.
func (e *Experiments) End(ctx context.Context, r *exchange.Record) {
	if e.live.Load() == nil {
		return
	}
	tickets, _ := ctx.Value(ticketsKey{}).([]ticket)
	for _, k := range tickets {
		k.trial.finished(k.phase, r)
	}
}

// Event counts the breakers that open by themselves under a fault. It never
// objects.
func (e *Experiments) Event(ev exchange.Event) error {
	live := e.live.Load()
	if live == nil || ev.Kind != exchange.CircuitBreaker || ev.To != "open" || ev.Shadow || !ev.Who.IsZero() {
		return nil
	}
	for _, t := range *live {
		t.tripped()
	}
	return nil
}

func (t *trial) tripped() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == Fault {
		t.trips++
	}
}
