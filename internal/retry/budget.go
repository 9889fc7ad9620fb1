package retry

import (
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// Budget bounds the retries to one upstream by what was asked of it first, so
// that retries never multiply an overload. It is shared by every route on the
// upstream, survives reloads and is safe for concurrent use.
//
// The sum is Finagle's
// (https://twitter.github.io/finagle/guide/Clients.html#retries).
type Budget struct {
	config BudgetConfig

	mu     sync.Mutex // guards window
	window exchange.Recent[spent]
}

// spent is what the calls of a while were: first attempts, and others.
type spent struct{ first, retries int }

// NewBudget returns a Budget of which nothing is spent. c must be valid.
func NewBudget(c BudgetConfig) *Budget {
	return &Budget{config: c, window: exchange.NewRecent[spent](c.Window, time.Now())}
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
	return b.status(time.Now())
}

// first counts the first attempt of a request.
func (b *Budget) first() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.window.Now().first++
}

// spend takes one retry from the budget, or reports that there is none.
func (b *Budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.status(now).Remaining == 0 {
		return false
	}
	b.window.At(now).retries++
	return true
}

func (b *Budget) status(now time.Time) BudgetStatus {
	var s BudgetStatus
	for _, c := range b.window.All(now) {
		s.First += c.first
		s.Retries += c.retries
	}
	// In integers: a share of 20% of 5 is 1, not 0.9999.
	perWindow := int64(b.config.MinPerSecond) * int64(b.config.Window/time.Millisecond) / 1000
	allowed := s.First*b.config.Percent/100 + int(perWindow)
	s.Remaining = max(0, allowed-s.Retries)
	return s
}
