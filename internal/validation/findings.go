package validation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// How many errors a client is told, and from how many they are chosen.
const (
	maxTold = 20
	maxKept = 1000
)

// findings are what is wrong with a request. They are counted to the last, and
// kept as far as it makes sense.
type findings struct {
	kept  []exchange.Violation
	count int
	at    string // where in a schema one of them is said
}

func (f *findings) add(v exchange.Violation, at string) {
	if f.count == 0 {
		f.at = at
	}
	f.count++
	if len(f.kept) < maxKept {
		f.kept = append(f.kept, v)
	}
}

// String says how many there are.
func (f findings) String() string {
	if f.count == 1 {
		return "1 error"
	}
	return fmt.Sprintf("%d errors", f.count)
}

// told returns those that the client is told, in order, and how many there are
// besides.
func (f *findings) told() (all []exchange.Violation, more int) {
	where := func(v exchange.Violation) string {
		if v.Pointer != nil {
			return *v.Pointer
		}
		return v.In + " " + v.Name
	}
	slices.SortFunc(f.kept, func(a, b exchange.Violation) int {
		return cmp.Or(strings.Compare(where(a), where(b)), strings.Compare(a.Detail, b.Detail))
	})
	all = f.kept[:min(maxTold, len(f.kept))]
	return all, f.count - len(all)
}
