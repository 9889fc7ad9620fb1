package exchange

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
)

func TestFrom(t *testing.T) {
	r := &Record{ID: "r-1"}
	if got := From(With(t.Context(), r)); got != r {
		t.Errorf("From = %+v, want the record put in", got)
	}
	bare := From(context.Background())
	bare.Note(Decision{Kind: Retry}) // must not panic
	if bare.Route != NoRouteName || bare == From(context.Background()) {
		t.Errorf("a bare context has the record %+v, want a throwaway one without a route", bare)
	}
}

// What is said of an exchange, and what is left of it, whether it is said in
// time or after the end.
func TestRecordKeepsWhatComesInTime(t *testing.T) {
	tests := []struct {
		name string
		say  func(*Record)
		read func(*Record) any
		want any // said in time
		late any // said after the end
	}{
		{
			"Note",
			func(r *Record) { r.Note(Decision{Kind: Retry}); r.Note(Decision{Kind: Fault}) },
			func(r *Record) any { return r.Decisions() },
			[]Decision{{Kind: Retry}, {Kind: Fault}},
			[]Decision(nil),
		},
		{
			"Identify",
			func(r *Record) { r.Identify(&Principal{Subject: "alice"}) },
			func(r *Record) any { return r.Principal() },
			&Principal{Subject: "alice"}, (*Principal)(nil),
		},
		{
			"NextAttempt",
			func(r *Record) { r.NextAttempt(); r.NextAttempt() },
			func(r *Record) any { return r.Attempts() },
			2, 0,
		},
		{
			"BlameClient: the first word stands",
			func(r *Record) {
				r.BlameClient(&Refusal{Reason: BodyTooLarge})
				r.BlameClient(&Refusal{Reason: ClientClosed})
			},
			func(r *Record) any { return r.ClientFault() },
			&Refusal{Reason: BodyTooLarge}, (*Refusal)(nil),
		},
		{
			"Because: the first word stands",
			func(r *Record) { r.Because(UpstreamTimeout); r.Because(ClientClosed) },
			func(r *Record) any { return r.Reason },
			UpstreamTimeout, Reason(""),
		},
		{
			"AddHeader",
			func(r *Record) {
				r.AddHeader("ratelimit", "a")
				r.AddHeader("RateLimit", "b")
				r.AddHeader("Via", "c")
			},
			func(r *Record) any {
				h := http.Header{"Via": {"before"}}
				r.CopyHeader(h)
				return h
			},
			http.Header{"Ratelimit": {"a", "b"}, "Via": {"before", "c"}},
			http.Header{"Via": {"before"}},
		},
		{
			"Forward",
			func(r *Record) {
				r.Forward(Field{Name: "X-User", Value: "alice"})
				r.Forward(Field{Name: "Authorization", Value: ""})
			},
			func(r *Record) any { return r.Forwards() },
			[]Field{{"X-User", "alice"}, {"Authorization", ""}},
			[]Field(nil),
		},
		{
			"SetUploading",
			func(r *Record) { r.SetUploading(true) },
			func(r *Record) any { return r.Uploading() },
			true, true, // is no fact: it is asked while it lasts
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Record{}
			tt.say(r)
			if got := tt.read(r); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("in time: %+v, want %+v", got, tt.want)
			}
			r.Seal()
			tt.say(r)
			if got := tt.read(r); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("said again after the end: %+v, want %+v still", got, tt.want)
			}
			r = &Record{}
			r.Seal()
			tt.say(r)
			if got := tt.read(r); !reflect.DeepEqual(got, tt.late) {
				t.Errorf("after the end: %+v, want %+v", got, tt.late)
			}
		})
	}
}

// Who reads a list while others write sees what was there when it asked.
func TestRecordListsAreStill(t *testing.T) {
	r := &Record{}
	for i := range 3 { // so that there is room to spare behind the last
		r.Note(Decision{Line: i})
		r.Forward(Field{Name: "X", Value: fmt.Sprint(i)})
	}
	decisions, forwards := r.Decisions(), r.Forwards()
	r.Note(Decision{Line: 3})
	r.Forward(Field{Name: "X", Value: "3"})
	_ = append(decisions, Decision{Line: -1}) // must not write over what came since
	_ = append(forwards, Field{"X", "-1"})
	if len(decisions) != 3 || len(forwards) != 3 {
		t.Errorf("lists of 3 have grown to %d and %d", len(decisions), len(forwards))
	}
	if got, want := r.Decisions()[3].Line, 3; got != want {
		t.Errorf("the fourth decision is %d, want %d", got, want)
	}
	if got, want := r.Forwards()[3].Value, "3"; got != want {
		t.Errorf("the fourth field is %s, want %s", got, want)
	}
}

// The header of the answer is not the record's: it goes on to change.
func TestCopyHeaderSharesNothing(t *testing.T) {
	r := &Record{}
	r.AddHeader("Via", "a")
	first, second := http.Header{}, http.Header{}
	r.CopyHeader(first)
	first["Via"][0] = "changed"
	r.CopyHeader(second)
	if want := (http.Header{"Via": {"a"}}); !reflect.DeepEqual(second, want) {
		t.Errorf("the second copy is %v, want %v", second, want)
	}
}

func TestAttemptNumbers(t *testing.T) {
	r := &Record{}
	var numbers []int
	for range 3 {
		numbers = append(numbers, r.NextAttempt())
	}
	if want := []int{1, 2, 3}; !slices.Equal(numbers, want) {
		t.Errorf("the attempts are %v, want %v", numbers, want)
	}
	r.Seal()
	if got := r.NextAttempt(); got != 4 || r.Attempts() != 3 {
		t.Errorf("an attempt after the end is %d of %d, want 4 of 3", got, r.Attempts())
	}
}

// Under -race: all that many may do at once, while the exchange ends.
func TestRecordUnderConcurrentUse(t *testing.T) {
	const writers, each = 8, 50
	r := &Record{}
	var before, all sync.WaitGroup
	for range writers {
		before.Add(1)
		all.Go(func() {
			for i := range 2 * each {
				if i == each {
					before.Done()
				}
				r.Note(Decision{Line: i})
				r.NextAttempt()
				r.Because(UpstreamReset)
				r.BlameClient(&Refusal{Reason: ClientBody})
				r.Identify(&Principal{})
				r.AddHeader("Via", "x")
				r.Forward(Field{Name: "X", Value: "y"})
				r.SetUploading(i%2 == 0)
				_, _, _, _ = r.Decisions(), r.Forwards(), r.ClientFault(), r.Principal()
				r.CopyHeader(http.Header{})
				_, _ = r.Uploading(), r.Attempts()
			}
		})
	}
	before.Wait()
	r.Seal()
	decisions, attempts, forwards := len(r.Decisions()), r.Attempts(), len(r.Forwards())
	_ = r.Reason // observers read it bare, once nobody can write it
	all.Wait()
	if decisions < writers*each || attempts < writers*each {
		t.Errorf("%d decisions, %d attempts at the end, want %d each at least", decisions, attempts, writers*each)
	}
	if len(r.Decisions()) != decisions || r.Attempts() != attempts || len(r.Forwards()) != forwards {
		t.Error("something was noted after the end")
	}
}
