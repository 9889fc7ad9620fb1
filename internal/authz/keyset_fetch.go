package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// newKeyTransport returns one that keeps no connection: the next call comes
// in minutes. Like all our calls it takes no proxy from the environment.
func newKeyTransport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10}
}

// run fetches the keys again and again until ctx ends.
func (k *KeySet) run(ctx context.Context) {
	defer k.end(time.Time{}, nil)
	said, failures := "", 0
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
		said = k.say(said, ks, err)
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

// The words of events.
const (
	fetched = "fetched"
	failing = "failing"
)

// say tells how a fetch went, if that is another word than said before. It
// returns the word.
func (k *KeySet) say(before string, ks keys, err error) string {
	e := exchange.Event{Time: time.Now(), Kind: exchange.JWKS, Name: k.config.Issuer, From: before, To: fetched}
	e.Detail = fmt.Sprintf("%d usable keys", len(ks.list))
	if len(ks.list) == 1 {
		e.Detail = "1 usable key"
	}
	if err != nil {
		e.To, e.Detail, e.Bad = failing, err.Error(), true
	}
	if e.To != before {
		k.tell(e)
	}
	return e.To
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

// statusError is an answer that is no good.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("the answer is %d, must be 200", e.code) }

// call returns the body of a good answer, of most bytes at most. The request
// goes straight to the transport: a redirect is an answer like any other that
// is not 200, and no error repeats the URL.
func call(transport http.RoundTripper, req *http.Request, most exchange.Size) ([]byte, error) {
	req.Header.Set("User-Agent", "sidecar")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err == nil && len(data) > int(most) {
		err = fmt.Errorf("the answer is larger than %v", most)
	}
	return data, err
}
