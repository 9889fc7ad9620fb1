package exchange

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// witness writes down what it sees, and how much those before it have put into
// the context.
type witness struct {
	name string
	book *[]string
}

type witnessKey struct{}

func (w witness) see(ctx context.Context, what string) context.Context {
	seen, _ := ctx.Value(witnessKey{}).(string)
	*w.book = append(*w.book, w.name+" "+what+" after "+seen)
	return context.WithValue(ctx, witnessKey{}, seen+w.name)
}

func (w witness) Begin(ctx context.Context, _ *Record) context.Context { return w.see(ctx, "begin") }
func (w witness) End(ctx context.Context, _ *Record)                   { w.see(ctx, "end") }

func (w witness) Attempt(ctx context.Context, _ *Record, _ *Attempt) context.Context {
	return w.see(ctx, "attempt")
}

func (w witness) Attempted(ctx context.Context, _ *Record, _ *Attempt) { w.see(ctx, "attempt ends") }

// listener is a witness that hears events.
type listener struct {
	witness
	objection error
	heard     *[]Event
}

func (l listener) Event(e Event) error {
	*l.heard = append(*l.heard, e)
	return l.objection
}

func TestObserversSeeInOrder(t *testing.T) {
	var book []string
	all := Observers{
		witness{name: "a", book: &book},
		witness{name: "b", book: &book},
		witness{name: "c", book: &book},
	}
	r := &Record{}
	ctx := all.Begin(t.Context(), r)
	a := &Attempt{Number: 1}
	inner := all.Attempt(ctx, r, a)
	all.Attempted(inner, r, a)
	all.End(ctx, r)
	want := []string{
		"a begin after ", "b begin after a", "c begin after ab",
		"a attempt after abc", "b attempt after abca", "c attempt after abcab",
		"a attempt ends after abcabc", "b attempt ends after abcabc", "c attempt ends after abcabc",
		"a end after abc", "b end after abc", "c end after abc",
	}
	if !slices.Equal(book, want) {
		t.Errorf("seen %q, want %q", book, want)
	}
	if got := inner.Value(witnessKey{}); got != "abcabc" {
		t.Errorf("the attempt's context has passed %v, want all", got)
	}
}

func TestNoObservers(t *testing.T) {
	var nobody Observers
	ctx := nobody.Begin(t.Context(), &Record{})
	inner := nobody.Attempt(ctx, &Record{}, &Attempt{})
	nobody.Attempted(inner, &Record{}, &Attempt{})
	nobody.End(ctx, &Record{})
	if inner != t.Context() {
		t.Error("nobody has changed the context")
	}
	if err := nobody.Event(Event{}); err != nil {
		t.Errorf("nobody objects: %v", err)
	}
}

// Everybody hears an event, and at the same time of day; but what somebody
// objects to is not done, and those behind do not hear of it.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, last []Event
		full := errors.New("disk is full")
		all := Observers{
			listener{witness{}, nil, &first},
			witness{}, // hears none
			listener{witness{}, full, &last},
		}
		if err := all.Event(Event{Kind: Fault, Name: "chaos"}); !errors.Is(err, full) {
			t.Errorf("the objection is %v, want %v", err, full)
		}
		now := time.Now()
		want := []Event{{Time: now, Kind: Fault, Name: "chaos"}}
		if !reflect.DeepEqual(first, want) || !reflect.DeepEqual(last, want) {
			t.Errorf("heard %+v and %+v, want %+v by both", first, last, want)
		}

		earlier := now.Add(-time.Minute)
		if err := all[:2].Event(Event{Time: earlier}); err != nil || !first[1].Time.Equal(earlier) {
			t.Errorf("an event of its own time: %v, heard at %v, want %v", err, first[1].Time, earlier)
		}

		slices.Reverse(all)
		if err := all.Event(Event{Kind: Fault}); !errors.Is(err, full) || len(first) != 2 {
			t.Errorf("%v, heard by %d behind who objects, want none", err, len(first)-2)
		}
	})
}

func TestNobodyObjects(t *testing.T) {
	var heard []Event
	if err := (Observers{listener{witness{}, nil, &heard}}).Event(Event{}); err != nil || len(heard) != 1 {
		t.Errorf("%v, heard %d, want no objection and one event", err, len(heard))
	}
}
