package retry

import (
	"sync"
	"time"
)

// Budget bounds the retries to one upstream by what was asked of it first, so
// that retries never multiply an overload. It is shared by every route on the
// upstream, survives reloads and is safe for concurrent use.
//
// The sum is Finagle's
// (https://twitter.github.io/finagle/guide/Clients.html#retries).
type Budget struct {
	config BudgetConfig
	start  time.Time     // of bucket number 0
	span   time.Duration // of one bucket

	mu     sync.Mutex // guards all below
	newest int64      // the number of the newest bucket
	counts [buckets]struct{ first, retries int }
}

// buckets is how many parts the window has: a call is forgotten a tenth of
// the window early at most.
const buckets = 10

// NewBudget returns a Budget of which nothing is spent. c must be valid.
func NewBudget(c BudgetConfig) *Budget {
	return &Budget{config: c, start: time.Now(), span: c.Window / buckets}
}

// BudgetStatus is a Budget as an operator sees it, over its window.
type BudgetStatus struct {
	First     int // attempts
	Retries   int
	Remaining int // retries that would be allowed now
}

// Status returns how the budget stands now.
func (b *Budget) Status() BudgetStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return b.status()
}

// first counts the first attempt of a request.
func (b *Budget) first() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	b.counts[b.newest%buckets].first++
}

// spend takes one retry from the budget, or reports that there is none.
func (b *Budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	if b.status().Remaining == 0 {
		return false
	}
	b.counts[b.newest%buckets].retries++
	return true
}

func (b *Budget) status() BudgetStatus {
	var s BudgetStatus
	for _, c := range b.counts {
		s.First += c.first
		s.Retries += c.retries
	}
	// In integers: a share of 20% of 5 is 1, not 0.9999.
	perWindow := int64(b.config.MinPerSecond) * int64(b.config.Window/time.Millisecond) / 1000
	allowed := s.First*b.config.Percent/100 + int(perWindow)
	s.Remaining = max(0, allowed-s.Retries)
	return s
}

// roll forgets what is too old.
func (b *Budget) roll() {
	number := int64(time.Since(b.start) / b.span)
	for b.newest = max(b.newest, number-buckets); b.newest < number; {
		b.newest++
		b.counts[b.newest%buckets] = struct{ first, retries int }{}
	}
}
