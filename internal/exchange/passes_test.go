package exchange

import (
	"slices"
	"testing"
)

func TestAPassIsToldByItsPointerUntilMoreIsNoted(t *testing.T) {
	one, two := &Decision{Kind: Authn, Outcome: Pass}, &Decision{Kind: Authz, Outcome: Pass}
	r := &Record{}
	r.Pass(one)
	r.Pass(two)
	if got, ok := r.Passes(); !ok || got != (Passes{one, two}) {
		t.Errorf("passes %v, %v, want both as they are", got, ok)
	}
	if r.Notable() {
		t.Error("passes are notable")
	}
	r.Note(Decision{Kind: Retry, Outcome: Act})
	if _, ok := r.Passes(); ok || !r.Notable() {
		t.Error("an exchange with a retry is one that all let pass")
	}
	if got, want := r.Decisions(), []Decision{*one, *two, {Kind: Retry, Outcome: Act}}; !slices.Equal(got, want) {
		t.Errorf("decisions %v, want %v", got, want)
	}
}

func TestAPassOfATracedExchangeSaysWhenItWas(t *testing.T) {
	pass := &Decision{Kind: Authn, Outcome: Pass}
	r := &Record{TraceID: "1"}
	r.Pass(pass)
	if got := r.Decisions()[0].At; got.IsZero() {
		t.Error("it does not")
	}
	if !pass.At.IsZero() {
		t.Error("what is the same for all has a time")
	}
}

func TestMorePassesThanUsualAreNotToldByPointers(t *testing.T) {
	r := &Record{}
	for range usualDecisions {
		r.Pass(&Decision{Kind: Authz, Outcome: Pass})
	}
	if _, ok := r.Passes(); !ok {
		t.Error("as many as there is room for do not pass")
	}
	r.Pass(&Decision{Kind: RateLimit, Outcome: Pass})
	if _, ok := r.Passes(); ok || len(r.Decisions()) != usualDecisions+1 {
		t.Errorf("one more is lost: %d decisions", len(r.Decisions()))
	}
}
