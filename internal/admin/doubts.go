package admin

import (
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
	return slices.Concat(notClosed(s), withoutKeys(s), silentIssuers(s), unverified(s))
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

// unverified returns a reason for each upstream that anybody could stand in
// for.
func unverified(s *proxy.Snapshot) (reasons []string) {
	for _, name := range s.Unverified() {
		reasons = append(reasons, "the certificate of upstream "+name+" is not verified: insecureSkipVerify is true")
	}
	return reasons
}
