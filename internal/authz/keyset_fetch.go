package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// What one fetch may take.
const (
	fetchTimeout               = 5 * time.Second
	maxKeySet    exchange.Size = 1 << 20
)

// How soon a fetch that failed is repeated; it doubles from the first to the
// last.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// run fetches the keys again and again until ctx ends.
func (k *KeySet) run(ctx context.Context) {
	defer k.end(time.Time{}, nil)
	failures := 0
	for {
		k.begin()
		ks, err := k.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
			k.seen.Store(&seenKeys{ks, time.Now()})
		}
		wait := k.wait(failures)
		k.end(time.Now().Add(wait), err)
		k.say(ks, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-k.wake:
		}
	}
}

// begin opens a round, or takes up the one that was asked for.
func (k *KeySet) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.wake:
	default:
	}
	if k.round == nil {
		k.round = make(chan struct{})
	}
}

// end lets go those who wait for the round.
func (k *KeySet) end(due time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due, k.err = due, err
	if k.round != nil {
		close(k.round)
		k.round = nil
	}
}

// wait returns how long to wait for the next fetch, after so many failures in
// a row.
func (k *KeySet) wait(failures int) time.Duration {
	refresh := k.config.JWKS.Refresh
	if failures == 0 {
		return time.Duration(float64(refresh) * (0.8 + 0.1*k.random()))
	}
	d := min(firstRetry<<min(failures-1, 10), lastRetry, refresh)
	return time.Duration(float64(d) * (0.5 + 0.5*k.random()))
}

// say tells how a fetch went.
func (k *KeySet) say(ks keys, err error) {
	detail := fmt.Sprintf("%d usable keys", len(ks.list))
	if len(ks.list) == 1 {
		detail = "1 usable key"
	}
	k.voice.say(detail, err)
}

// fetch asks the issuer once for its keys, and before for where they are if
// that is not known. What it says of that is not kept: keys may move.
func (k *KeySet) fetch(ctx context.Context) (keys, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	at := k.config.URL
	if at == "" {
		var err error
		if at, err = k.discover(ctx); err != nil {
			return keys{}, fmt.Errorf("discovery: %w", err)
		}
	}
	data, err := k.get(ctx, at, "application/jwk-set+json, application/json")
	if err != nil {
		return keys{}, err
	}
	ks, err := parseJWKS(data, k.config.Algorithms)
	if err != nil {
		return keys{}, fmt.Errorf("the answer %w", err)
	}
	return ks, nil
}

// get returns the body of a good answer from the issuer.
func (k *KeySet) get(ctx context.Context, at, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, errors.New("the URL does not parse")
	}
	req.Header.Set("Accept", accept)
	data, err := call(k.transport, req, maxKeySet)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", fetchTimeout)
	}
	return data, err
}
