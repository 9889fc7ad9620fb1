package proxy

import (
	"cmp"
	"slices"

	"github.com/dunglas/httpsfv"

	"sidecar/internal/exchange"
)

// proxyName is what we are called in Proxy-Status. It is no address and no
// secret, and the same in every process, so that dashboards can look for it.
const proxyName = "sidecar"

// proxyStatus returns what we did to an answer, as a member of Proxy-Status
// (RFC 9209); "" for one of the upstream's that we only passed on.
func proxyStatus(rec *exchange.Record, status int) string {
	if rec.Plain() {
		return ""
	}
	maker, ours := madeBy(rec)
	other := rec.Diverted()
	if !ours && other == "" && rec.Attempts() < 2 {
		return ""
	}
	item := httpsfv.NewItem(httpsfv.Token(proxyName))
	if ours {
		item.Params.Add("error", httpsfv.Token(maker.answer().Proxy))
		item.Params.Add("details", maker.String())
	} else {
		if other != "" {
			item.Params.Add("next-hop", other)
		}
		item.Params.Add("received-status", int64(status))
		item.Params.Add("details", again(rec))
	}
	said, err := httpsfv.Marshal(httpsfv.List{item})
	if err != nil { // names from the policy file and words of ours always marshal
		return ""
	}
	return said
}

// again says how there came to be more than one upstream call, or another one.
func again(rec *exchange.Record) string {
	if rec.Diverted() != "" {
		return "fallback"
	}
	if slices.ContainsFunc(rec.Decisions(), repeats) {
		return "retried"
	}
	return "hedged"
}

// repeats reports whether d has made a call again that had ended, perhaps to
// another upstream: what was decided on it before holds no more.
func repeats(d exchange.Decision) bool {
	return d.Reason == exchange.FallbackUpstream && d.Outcome == exchange.Act || d.Kind == exchange.Retry && d.Outcome == exchange.Act && d.Reason != exchange.Hedged
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
		case repeats(d):
			name = ""
		}
	}
	return name
}

// answered reports whether fault stood in for the call whose answer the client
// gets, and not only for one that another has overtaken.
func answered(rec *exchange.Record, fault string) bool {
	return rec.Answered == nil || rec.Answered.Fault == fault
}

// madeBy returns the decision that made the answer, if that was not the
// upstream.
func madeBy(rec *exchange.Record) (origin, bool) {
	why := rec.Why()
	var made origin
	found := false
	decisions := rec.Decisions()
	for i := range decisions {
		d := &decisions[i]
		switch {
		case d.Reason == "", d.Outcome == exchange.Shadow, d.Reason == exchange.FaultAbort && !answered(rec, d.Policy):
		case d.Reason == why, d.Reason == exchange.FallbackServed, d.Reason == exchange.FaultAbort:
			made, found = origin{*d}, true
		case repeats(*d):
			found = false
		}
	}
	return made, found
}
