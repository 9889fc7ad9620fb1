package proxy

import (
	"cmp"

	"github.com/dunglas/httpsfv"

	"sidecar/internal/exchange"
)

// proxyName is what we are called in Proxy-Status. It is no address and no
// secret, and the same in every process, so that dashboards can look for it.
const proxyName = "sidecar"

// proxyStatus returns what we did to an answer, as a member of Proxy-Status
// (RFC 9209); "" for one of the upstream's that we only passed on.
func proxyStatus(rec *exchange.Record, status int) string {
	maker, ours := madeBy(rec)
	if !ours && rec.Attempts() < 2 {
		return ""
	}
	item := httpsfv.NewItem(httpsfv.Token(proxyName))
	if ours {
		item.Params.Add("error", httpsfv.Token(maker.answer().Proxy))
		item.Params.Add("details", maker.String())
	} else {
		item.Params.Add("received-status", int64(status))
		item.Params.Add("details", "retried")
	}
	said, err := httpsfv.Marshal(httpsfv.List{item})
	if err != nil { // names from the policy file and words of ours always marshal
		return ""
	}
	return said
}

// origin is the decision that made an answer of our own.
type origin struct{ exchange.Decision }

// answer returns how the decision is told. A fallback stands for its breaker's
// refusal, and a drill's abort for what it broke.
func (o origin) answer() exchange.Answer {
	switch o.Reason {
	case exchange.FallbackServed:
		return exchange.BreakerOpen.Answer()
	case exchange.FaultAbort:
		return exchange.FaultInjected.Answer()
	}
	a := o.Reason.Answer()
	a.Proxy = cmp.Or(o.Proxy, a.Proxy)
	return a
}

// String returns "kind/policy reason".
func (o origin) String() string {
	return Stage{Kind: o.Kind, Policy: o.Policy}.String() + " " + string(o.Reason)
}

// faultBehind returns the fault that stood in for the last upstream call; "" if
// there was none.
func faultBehind(rec *exchange.Record) (name string) {
	for _, d := range rec.Decisions() {
		switch {
		case d.Reason == exchange.FaultAbort && d.Outcome == exchange.Act:
			name = d.Policy
		case d.Kind == exchange.Retry && d.Outcome == exchange.Act:
			name = ""
		}
	}
	return name
}

// madeBy returns the decision that made the answer, if that was not the
// upstream.
func madeBy(rec *exchange.Record) (origin, bool) {
	why := rec.Why()
	var made origin
	found := false
	for _, d := range rec.Decisions() {
		switch {
		case d.Outcome == exchange.Shadow:
		case why != "" && d.Reason == why, d.Reason == exchange.FallbackServed, d.Reason == exchange.FaultAbort:
			made, found = origin{d}, true
		case d.Kind == exchange.Retry && d.Outcome == exchange.Act:
			found = false // what was decided before is repeated
		}
	}
	return made, found
}
