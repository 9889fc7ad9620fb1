package audit

import (
	"time"

	"sidecar/internal/exchange"
)

// entry is a line that is not in the chain yet.
type entry struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"`
	Result     string    `json:"result"`
	Who        string    `json:"who,omitempty"`
	By         string    `json:"by,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	Client     string    `json:"client,omitempty"`
	Peer       string    `json:"peer,omitempty"`
	RequestID  string    `json:"requestId,omitempty"`
	Method     string    `json:"method,omitempty"`
	Host       string    `json:"host,omitempty"`
	Path       string    `json:"path,omitempty"`
	Route      string    `json:"route,omitempty"`
	Status     int       `json:"status,omitempty"`
	Name       string    `json:"name,omitempty"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Policy     string    `json:"policy,omitempty"`
	Rule       string    `json:"rule,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Line       int       `json:"line,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	PolicyHash string    `json:"policyHash,omitempty"`
	Lost       uint64    `json:"lost,omitempty"`
	Torn       string    `json:"torn,omitempty"`
}

// line is an entry in its place.
type line struct {
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"`
	entry
}

// fileEvent is the event of lines that are about the file itself.
const fileEvent = "audit"

// torn is the result of a line that explains the half line before it.
const torn = "torn"

func ofFile(result, hash string) entry {
	return entry{Time: time.Now(), Event: fileEvent, Result: result, PolicyHash: hash}
}

// refuses reports whether d turned somebody away for who they are, or for what
// they may not do.
func refuses(d *exchange.Decision) bool {
	return d.Outcome == exchange.Refuse && (d.Kind == exchange.Authn || d.Kind == exchange.Authz)
}

func ofRequest(r *exchange.Record, d *exchange.Decision) entry {
	e := entry{
		Time: time.Now(), Event: d.Kind, Result: "refused",
		Client: r.Client.String(), Peer: r.Peer.String(), RequestID: exchange.Clip(r.ID, short),
		Method: exchange.Clip(r.Method, short), Host: exchange.Clip(r.Host, long), Path: exchange.Clip(r.Path, long),
		Route: r.Route, Status: r.Status,
		Policy: d.Policy, Reason: string(d.Reason), Rule: d.Rule, Line: d.Line, Detail: exchange.Clip(d.Detail, long),
		PolicyHash: r.PolicyHash,
	}
	if p := r.Principal(); p != nil {
		e.Who, e.By, e.Issuer = exchange.Clip(p.Subject, long), p.By, exchange.Clip(p.Issuer, long)
	}
	return e
}

// isChange reports whether e is a change that somebody asks for, and who is told
// when it cannot be made. The first policy changes nothing, and neither does a
// reload that failed: there is nothing they follow.
func isChange(e exchange.Event) bool {
	switch e.Kind {
	case exchange.CircuitBreaker, exchange.Fault, exchange.ByUpstream, exchange.Experiment:
		return !e.Who.IsZero()
	}
	return e.Kind == exchange.Reload && e.From != ""
}

// isNews reports whether e, which is no change, is told all the same. What
// breakers do by themselves stands in the log.
func isNews(e exchange.Event) bool {
	return e.Kind == exchange.Fault || e.Kind == exchange.Reload || e.Kind == exchange.Admin || e.Kind == exchange.Experiment
}

func ofEvent(e exchange.Event, hash string) entry {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	out := entry{
		Time: e.Time, Event: e.Kind, Result: "made", Name: exchange.Clip(e.Name, long), From: e.From, To: e.To,
		Who: exchange.Clip(e.Who.Name, long), Line: e.Line, Detail: exchange.Clip(e.Detail, long), PolicyHash: hash,
		RequestID: exchange.Clip(e.Who.RequestID, short),
	}
	if e.Who.Client.IsValid() {
		out.Client = e.Who.Client.String()
	}
	if e.Who.Peer.IsValid() {
		out.Peer = e.Who.Peer.String()
	}
	switch {
	case e.Kind == exchange.Admin:
		out.Result = "refused"
	case e.Bad && e.Kind == exchange.Reload:
		out.Result = "failed"
	}
	return out
}

// How much of what others choose is written, in bytes. A line stays below
// maxLine whatever is escaped.
const (
	short   = 128
	long    = 512
	maxLine = 64 << 10
)
