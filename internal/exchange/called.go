package exchange

// usualCalls is how many endpoints an exchange calls when things go wrong as
// they do: a first one, and another.
const usualCalls = 2

// called are the endpoints of an upstream that were called for an exchange. What
// is there never changes, so that it may be read while more is added.
type called struct {
	first [usualCalls]string
	all   []string
}

// Call says that endpoint, a host:port, is called now.
func (r *Record) Call(endpoint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed {
		return
	}
	if r.called.all == nil {
		r.called.all = r.called.first[:0]
	}
	r.called.all = append(r.called.all, endpoint)
}

// Called returns the endpoints that were called so far, in order, so that
// another attempt goes to another one. The caller must not change it.
func (r *Record) Called() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.called.all[:len(r.called.all):len(r.called.all)]
}
