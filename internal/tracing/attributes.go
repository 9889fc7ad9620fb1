package tracing

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"sidecar/internal/exchange"
)

// Attributes of our own.
const (
	policyKind     = attribute.Key("sidecar.policy.kind")
	policyName     = attribute.Key("sidecar.policy.name")
	policyOutcome  = attribute.Key("sidecar.policy.outcome")
	policyReason   = attribute.Key("sidecar.policy.reason")
	policyRule     = attribute.Key("sidecar.policy.rule")
	policyLine     = attribute.Key("sidecar.policy.line")
	policyFault    = attribute.Key("sidecar.policy.fault")    // that answered or delayed an attempt
	policyUpstream = attribute.Key("sidecar.policy.upstream") // as the policy file calls it
)

// attributes is a list that leaves out what is not known.
type attributes []attribute.KeyValue

// text adds a text that is not empty. It may come from a client: one that is
// not UTF-8 would keep the whole batch from being sent.
func (as *attributes) text(key attribute.Key, value string) {
	if value != "" {
		*as = append(*as, key.String(strings.ToValidUTF8(value, "\ufffd")))
	}
}

func (as *attributes) number(key attribute.Key, value int) {
	if value != 0 {
		*as = append(*as, key.Int(value))
	}
}

// address adds the two halves of HOST or HOST:PORT.
func (as *attributes) address(host, port attribute.Key, value string) {
	h, p, err := net.SplitHostPort(value)
	if err != nil {
		h, p = strings.Trim(value, "[]"), ""
	}
	as.text(host, h)
	if n, err := strconv.ParseUint(p, 10, 16); err == nil {
		as.number(port, int(n))
	}
}

func (as *attributes) method(m string) {
	if exchange.KnownMethod(m) {
		as.text(semconv.HTTPRequestMethodKey, m)
		return
	}
	*as = append(*as, semconv.HTTPRequestMethodOther)
	as.text(semconv.HTTPRequestMethodOriginalKey, m)
}

// requested is what is known of r when it begins.
func requested(r *exchange.Record) []attribute.KeyValue {
	var as attributes
	as.method(r.Method)
	as.text(semconv.URLPathKey, r.Path)
	as.text(semconv.URLSchemeKey, r.Scheme)
	as.address(semconv.ServerAddressKey, semconv.ServerPortKey, r.Host)
	if r.Client.IsValid() {
		as.text(semconv.ClientAddressKey, r.Client.String())
	}
	if r.Peer.IsValid() {
		as.text(semconv.NetworkPeerAddressKey, r.Peer.Addr().String())
		as.number(semconv.NetworkPeerPortKey, int(r.Peer.Port()))
	}
	as.text(semconv.NetworkProtocolVersionKey, strings.TrimSuffix(strings.TrimPrefix(r.Proto, "HTTP/"), ".0"))
	as.text(semconv.UserAgentOriginalKey, r.RequestHeader.Get("User-Agent"))
	return as
}

// answered is what is known of r when it has ended.
func answered(r *exchange.Record) []attribute.KeyValue {
	var as attributes
	if r.Route != exchange.NoRouteName {
		as.text(semconv.HTTPRouteKey, r.Route)
	}
	if r.Status != exchange.StatusClientClosed { // which was never sent
		as.number(semconv.HTTPResponseStatusCodeKey, r.Status)
	}
	switch {
	case r.Reason != "" && (failed(r) || r.Reason.ClientFault()):
		as.text(semconv.ErrorTypeKey, string(r.Reason))
	case failed(r):
		as.text(semconv.ErrorTypeKey, strconv.Itoa(r.Status))
	}
	return as
}

// calling is what is known of a when it begins.
func calling(r *exchange.Record, a *exchange.Attempt) []attribute.KeyValue {
	var as attributes
	as.method(r.Method)
	as.number(semconv.HTTPRequestResendCountKey, a.Number-1)
	as.text(policyUpstream, a.Upstream)
	return as
}

// called is what is known of a when it has ended. The URL is without its
// query, which may hold secrets.
func called(a *exchange.Attempt, path string) []attribute.KeyValue {
	var as attributes
	if a.Endpoint != "" {
		as.address(semconv.ServerAddressKey, semconv.ServerPortKey, a.Endpoint)
		u := url.URL{Scheme: a.Scheme, Host: a.Endpoint, Path: path}
		as.text(semconv.URLFullKey, u.String())
	}
	as.number(semconv.HTTPResponseStatusCodeKey, a.Status)
	as.text(policyFault, a.Fault)
	if broke(a) {
		as.text(semconv.ErrorTypeKey, a.Outcome())
	}
	return as
}

// decided is one policy's word. Its detail is left to the log: it is for
// people, and may quote the request.
func decided(d *exchange.Decision) []attribute.KeyValue {
	var as attributes
	as.text(policyKind, d.Kind)
	as.text(policyName, d.Policy)
	as.text(policyOutcome, string(d.Outcome))
	as.text(policyReason, string(d.Reason))
	as.text(policyRule, d.Rule)
	as.number(policyLine, d.Line)
	return as
}

// name returns the name of a span: few, whatever clients send.
func name(r *exchange.Record) string {
	m := r.Method
	if !exchange.KnownMethod(m) {
		m = "HTTP"
	}
	if r.Route == exchange.NoRouteName {
		return m
	}
	return m + " " + r.Route
}
