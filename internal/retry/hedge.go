package retry

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// hedges returns how many hedges req may get. It must do no harm if done twice
// at once: also where the upstream tells too late that it had better not been.
func (r *Retry) hedges(req *http.Request) int {
	if r.config.Hedge == nil || req.Method != http.MethodGet && req.Method != http.MethodHead ||
		!bodiless(req) || !slices.Contains(r.config.Methods, req.Method) ||
		exchange.HeaderOf(req).Get("Upgrade") != "" { // the answer may be a connection
		return 0
	}
	return r.config.Hedge.Max
}

// patience returns how long an attempt may take before a hedge is begun, if
// that is known.
func (r *Retry) patience() (time.Duration, bool) {
	if r.times == nil {
		return r.config.Hedge.After.Fixed, true
	}
	d, known := r.times.get()
	return max(d, soonest), known
}

// learn notes how long an attempt took that was no hedge. One that was given
// up has taken so long at least: were it left out, only quick ones would be
// known, and the percentile would sink with each hedge that wins.
func (r *Retry) learn(took time.Duration, resp *http.Response, err error) {
	if r.times == nil {
		return
	}
	if err == nil {
		if _, bad := r.config.RetryOn.Match(resp, nil); bad {
			return // often quicker than a good one
		}
	} else if f, ok := errors.AsType[*exchange.Failure](err); !ok ||
		f.Kind != exchange.FailedTimeout && f.Kind != exchange.FailedCancelled {
		return
	}
	r.times.add(took)
}

// call makes the n-th attempt of req, and up to so many hedges beside it. It
// returns how many hedges there were, and the first good answer, else what they
// all came to.
func (r *Retry) call(next http.RoundTripper, req *http.Request, body *replay, n, hedges int) (begun int, resp *http.Response, err error) {
	hedges = min(hedges, r.config.MaxAttempts-n)
	if hedges < 1 {
		resp, err = r.attempt(next, req, body, n)
		return 0, resp, err
	}
	after, known := r.patience()
	if !known {
		start := time.Now()
		resp, err = r.attempt(next, req, body, n)
		r.learn(time.Since(start), resp, err)
		return 0, resp, err
	}
	x := &race{retry: r, next: next, req: req, after: after, n: n, left: hedges}
	resp, err = x.run()
	return hedges - x.left, resp, err
}

// hedged says what a hedge is begun for.
func hedged(n int, after time.Duration) string {
	return "attempt " + strconv.Itoa(n) + " after " + after.Round(soonest/10).String() + " without an answer"
}
