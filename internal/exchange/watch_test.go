package exchange

import (
	"slices"
	"testing"
)

// atTheEnd is a witness that is called at the end only.
type atTheEnd struct{ witness }

func (atTheEnd) Moments() Moments { return AtEnd }

func TestWhoIsSelectiveIsCalledOnlyAtItsMoments(t *testing.T) {
	var book []string
	all := Observers{witness{name: "a", book: &book}, atTheEnd{witness{name: "b", book: &book}}}.Watch()
	r, a := &Record{}, &Attempt{Number: 1}
	ctx := all.Begin(t.Context(), r)
	inner := all.Attempt(ctx, r, a)
	all.Attempted(inner, r, a)
	all.End(ctx, r)
	want := []string{
		"a begin after ", "a attempt after a", "a attempt ends after aa", "a end after a", "b end after a",
	}
	if !slices.Equal(book, want) {
		t.Errorf("seen %q, want %q", book, want)
	}
}
