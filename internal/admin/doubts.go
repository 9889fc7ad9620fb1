package admin

import (
	"maps"
	"slices"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/proxy"
)

// ofPolicy returns what is to be doubted of what the policy has made.
func (h *Health) ofPolicy() []string {
	s := h.proxy.Snapshot()
	if s == nil {
		return nil
	}
	return slices.Concat(notClosed(s), withoutKeys(s), silentIssuers(s), silentStores(s), unverified(s), withoutEndpoint(s))
}

// withoutEndpoint returns a reason for each upstream of which no endpoint works,
// and for each name that cannot be looked up. Readiness does not hang on it: to
// take every sidecar out when the service is away takes away what answers in its
// place, too.
func withoutEndpoint(s *proxy.Snapshot) (reasons []string) {
	for _, u := range s.Upstreams() {
		st := u.Status()
		if st.Panic {
			reasons = append(reasons, "no endpoint of upstream "+st.Name+" works; all are called")
		}
		for _, name := range slices.Sorted(maps.Keys(st.Unresolved)) {
			reasons = append(reasons, "the name of "+name+", of upstream "+st.Name+", cannot be looked up")
		}
	}
	return reasons
}

// waitsForKeys reports whether there is an issuer that was never heard of.
func waitsForKeys(s *proxy.Snapshot) bool {
	return slices.ContainsFunc(s.KeySets(), func(k *authz.KeySet) bool {
		return s.Needs(k) && k.Status().State == authz.KeysWaiting
	})
}

// notClosed returns a reason for each breaker of s that is not closed.
func notClosed(s *proxy.Snapshot) (reasons []string) {
	for _, b := range s.Breakers() {
		if st := b.Status(); st.State != "closed" && !st.Shadow {
			reasons = append(reasons, "circuit breaker "+st.Name+" is "+st.State)
		}
	}
	return reasons
}

// withoutKeys returns a reason for each issuer whose tokens cannot be judged,
// or only by old keys.
func withoutKeys(s *proxy.Snapshot) (reasons []string) {
	for _, k := range s.KeySets() {
		if st := k.Status(); s.Needs(k) && st.State != authz.KeysFresh {
			reasons = append(reasons, withoutKeysOf(st))
		}
	}
	return reasons
}

func withoutKeysOf(st authz.KeySetStatus) string {
	if st.State == authz.KeysWaiting {
		return "the keys of issuer " + st.Issuer + " were not fetched yet"
	}
	return "the keys of issuer " + st.Issuer + " are " + st.State + ": last fetched at " + st.LastSuccess.UTC().Format(time.RFC3339)
}

// silentIssuers returns a reason for each issuer that cannot be asked about
// opaque tokens. Readiness does not wait for it: only traffic has it asked
// again.
func silentIssuers(s *proxy.Snapshot) (reasons []string) {
	for _, n := range s.Introspectors() {
		if n.Failing() {
			reasons = append(reasons, "issuer "+n.Issuer()+" cannot be asked about tokens")
		}
	}
	return reasons
}

// silentStores returns a reason for each store of rate limits that cannot be
// asked. Only traffic has it asked again.
func silentStores(s *proxy.Snapshot) (reasons []string) {
	for _, st := range s.Stores() {
		if status := st.Status(); status.Problem != "" {
			reasons = append(reasons, "store "+status.Name+" cannot be asked about rate limits")
		}
	}
	return reasons
}

// unverified returns a reason for each upstream that anybody could stand in
// for.
func unverified(s *proxy.Snapshot) (reasons []string) {
	for _, name := range s.Unverified() {
		reasons = append(reasons, "the certificate of upstream "+name+" is not verified: insecureSkipVerify is true")
	}
	return reasons
}
