package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

// objector is an observer that is asked before a policy holds.
type objector struct {
	exchange.NoAttempts
	answer func(exchange.Event) error
}

func (a *objector) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }
func (a *objector) End(context.Context, *exchange.Record)                         {}
func (a *objector) Event(e exchange.Event) error                                  { return a.answer(e) }

// A reload is told last, when the policy is known to be good, and who objects
// leaves everything as it was.
func TestAReloadIsToldBeforeItHolds(t *testing.T) {
	up := service(t, func(http.ResponseWriter, *http.Request) {})
	no := errors.New("no")
	changed := strings.Replace(reloads, "consecutiveFailures: 1", "consecutiveFailures: 2", 1)
	tests := []struct {
		name, text string
		say        error
	}{
		{"agreed", reloads, nil},
		{"not agreed", changed, no},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask := &objector{answer: func(exchange.Event) error { return nil }}
			p, _ := apply(t, reloads, up, func(o *Options) { o.Observers = append(o.Observers, ask) })
			before, f, asked := p.Snapshot(), parse(t, tt.text, up), 0
			ann := exchange.Who{Name: "ann"}
			ask.answer = func(e exchange.Event) error {
				if asked++; p.Snapshot() != before {
					t.Error("it was applied before it was agreed to")
				}
				want := exchange.Event{
					Time: e.Time, Kind: exchange.Reload, Name: "test.yaml", From: before.File().Hash(), To: f.Hash(), Who: ann,
				}
				if e != want {
					t.Errorf("told %+v, want %+v", e, want)
				}
				return tt.say
			}
			err := p.ApplyFor(f, ann)
			if !errors.Is(err, tt.say) || asked != 1 || (p.Snapshot() != before) != (tt.say == nil) {
				t.Errorf("%v, asked %d times, applied: %v", err, asked, p.Snapshot() != before)
			}
			if resp, _ := get(t, listen(t, p)+"/"); resp.StatusCode != 200 {
				t.Errorf("a request after it: %d, want 200", resp.StatusCode)
			}
		})
	}
}
