package retry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// race is one attempt and the hedges beside it. The attempt runs on the
// request's own goroutine, a hedge on that of the timer which begins it.
type race struct {
	retry *Retry
	next  http.RoundTripper
	req   *http.Request
	after time.Duration
	first runner

	mu       sync.Mutex // guards all below
	ended    sync.Cond  // over
	timer    *time.Timer
	n        int // the number of the last attempt begun
	left     int // hedges that may still be begun
	runners  []*runner
	few      [2]*runner // what runners is made of, mostly
	running  int
	best     result // of those that have ended
	over     bool
	panicked any // a hedge; with what
}

// runner is one attempt in a race.
type runner struct {
	number int
	hedge  bool
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// result is how an attempt ended. by is nil if none has.
type result struct {
	by   *runner
	resp *http.Response
	err  error
}

// errLost ends the attempts that came too late.
var errLost = &exchange.Failure{Kind: exchange.FailedCancelled, Err: errors.New("another attempt answered first")}

func (x *race) run() (*http.Response, error) {
	x.ended.L = &x.mu
	x.mu.Lock()
	x.runners = x.few[:0]
	x.enter(&x.first)
	x.timer = time.AfterFunc(x.after, x.hedge)
	x.mu.Unlock()

	defer x.abandon(nil) // where the attempt panics
	x.attempt(&x.first)
	return x.wait()
}

// wait returns what the race came to.
func (x *race) wait() (*http.Response, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.over {
		x.ended.Wait()
	}
	if x.panicked != nil {
		panic(x.panicked)
	}
	best := x.best
	x.best = result{} // it is the caller's
	return best.resp, best.err
}

// enter lets c begin. x.mu is held.
func (x *race) enter(c *runner) *runner {
	c.number = x.n
	c.ctx, c.cancel = context.WithCancelCause(x.req.Context())
	x.runners = append(x.runners, c)
	x.running++
	return c
}

// hedge begins another attempt, if it may, and sees it to its end.
func (x *race) hedge() {
	c := x.another()
	if c == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil { // on this goroutine it would end the process
			x.abandon(fmt.Sprintf("%v, in a hedge\n%s", p, debug.Stack()))
		}
	}()
	x.attempt(c)
}

// another returns the runner of another hedge, or nil.
func (x *race) another() *runner {
	x.mu.Lock()
	defer x.mu.Unlock()
	ctx := x.req.Context()
	if x.over || ctx.Err() != nil || exchange.From(ctx).CalledOnce() {
		return nil
	}
	if !x.retry.budget.spend() {
		x.retry.note(x.req, exchange.Broken, exchange.BudgetExhausted, "no hedge")
		return nil
	}
	x.n++
	x.left--
	x.retry.note(x.req, exchange.Act, exchange.Hedged, hedged(x.n, x.after))
	if x.left > 0 {
		x.timer.Reset(x.after)
	}
	return x.enter(&runner{hedge: true})
}

// attempt is what a runner does.
func (x *race) attempt(c *runner) {
	start := time.Now()
	resp, err := x.retry.attempt(x.next, x.req.WithContext(c.ctx), nil, c.number)
	if !c.hedge {
		why := err
		if err != nil && context.Cause(c.ctx) == errLost {
			why = errLost // however the transport words it
		}
		x.retry.learn(time.Since(start), resp, why)
	}
	switch {
	case err != nil, resp.Body == http.NoBody:
		c.cancel(nil)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		resp.Body = &cancelBody{resp.Body, c.cancel}
	}
	if waste := x.take(result{c, resp, err}); waste.resp != nil {
		waste.resp.Body.Close() // not drained: somebody waits for the winner
	}
}

// take notes how a runner ended, and returns the result that nobody wants.
func (x *race) take(r result) (waste result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running--
	if x.over {
		return r
	}
	_, bad := x.retry.config.RetryOn.Match(r.resp, r.err)
	good := r.err == nil && !bad
	waste = r
	if good || r.rank() >= x.best.rank() {
		waste, x.best = x.best, r
	}
	if good || x.running == 0 || x.req.Context().Err() != nil {
		x.finish(good)
	}
	return waste
}

// rank says which of two bad ends the client rather hears of.
func (r result) rank() int {
	switch _, refused := errors.AsType[*exchange.Refusal](r.err); {
	case r.by == nil:
		return 0
	case refused: // perhaps only the hedge
		return 1
	case r.err != nil:
		return 2
	}
	return 3
}

// finish ends the race with its best result, which may be a good one. x.mu is
// held.
func (x *race) finish(good bool) {
	x.over = true
	x.timer.Stop()
	for _, c := range x.runners {
		won := good && c == x.best.by
		if c != x.best.by {
			c.cancel(errLost)
		}
		if !c.hedge {
			continue
		}
		reason := exchange.HedgeLost
		if won {
			reason = exchange.HedgeWon
		}
		x.retry.note(x.req, exchange.Pass, reason, "attempt "+strconv.Itoa(c.number))
	}
	x.ended.Broadcast()
}

// abandon ends the race, if it is not over, without a result. panicked is with
// what a hedge did, if one did.
func (x *race) abandon(panicked any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over && panicked != nil { // somebody has the answer already, or will
		x.retry.note(x.req, exchange.Broken, exchange.InternalError, fmt.Sprint(panicked))
		return
	}
	if x.best.resp != nil {
		x.best.resp.Body.Close()
	}
	x.best = result{}
	if !x.over {
		x.panicked = panicked
		x.finish(false)
	}
}
