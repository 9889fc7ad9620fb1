package exchange

// Reason says in one stable word why a decision fell as it did. It stands in
// problem documents, metrics and logs, and is never renamed.
type Reason string

const (
	PathAmbiguous Reason = "path_ambiguous"
	LoopDetected  Reason = "loop_detected"
	NoRoute       Reason = "no_route"

	MethodNotAllowed Reason = "method_not_allowed"
	URITooLong       Reason = "uri_too_long"
	BodyTooLarge     Reason = "body_too_large"
	BadContentType   Reason = "bad_content_type"
	HeaderMissing    Reason = "header_missing"
	HeaderDenied     Reason = "header_denied"

	TokenMissing   Reason = "token_missing"
	TokenMalformed Reason = "token_malformed"
	TokenInvalid   Reason = "token_invalid"
	TokenExpired   Reason = "token_expired"
	IssuerUnknown  Reason = "issuer_unknown"

	RuleDenied  Reason = "rbac_denied"
	NoAllowRule Reason = "no_allow_rule"

	RateLimited Reason = "rate_limited"

	BreakerOpen      Reason = "breaker_open"
	BreakerProbeFull Reason = "breaker_probe_full"

	UpstreamConnect  Reason = "upstream_connect"
	UpstreamReset    Reason = "upstream_reset"
	UpstreamProtocol Reason = "upstream_protocol"
	UpstreamTimeout  Reason = "upstream_timeout"

	ClientBody    Reason = "client_body"
	ClientTimeout Reason = "client_timeout"
	ClientClosed  Reason = "client_closed"

	FaultInjected Reason = "fault_injected"
	Draining      Reason = "draining"
	InternalError Reason = "internal_error"
)

// Reasons that never answer a client: they are told in the record only.
const (
	FallbackServed    Reason = "fallback"
	BudgetExhausted   Reason = "budget_exhausted"
	BodyNotReplayable Reason = "body_not_replayable"
	RetryAfterTooLong Reason = "retry_after_too_long"
	FaultDelay        Reason = "fault_delay"
	FaultAbort        Reason = "fault_abort"
	UpgradeIgnored    Reason = "upgrade_ignored"
	UpstreamBody      Reason = "upstream_body"
	StreamIdle        Reason = "stream_idle"
)

// StatusClientClosed is told in logs and metrics when the client left before
// its answer; it is never sent (nginx's number).
const StatusClientClosed = 499

// The gRPC status codes we answer with
// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
const (
	grpcInvalidArgument   = 3
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
	grpcCancelled         = 1
)

// Answer is how a reason is told to a client.
type Answer struct {
	Status int    // HTTP status
	Type   string // problem type, a stable URI (RFC 9457 section 3.1.1)
	Title  string // constant per type (RFC 9457 section 3.1.3)
	GRPC   int    // gRPC status code
}

// typePrefix is put before a reason to make its problem type, where no
// registered type says the same.
const typePrefix = "urn:sidecar:problem:"

// quotaExceeded is the registered problem type for a spent quota
// (draft-ietf-httpapi-ratelimit-headers, section "Problem Types").
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// answers is the one table from which every answer of our own follows.
var answers = map[Reason]Answer{
	PathAmbiguous:    {Status: 400, GRPC: grpcInvalidArgument, Title: "The path can be read in more than one way"},
	LoopDetected:     {Status: 508, GRPC: grpcInternal, Title: "The request came back to this proxy"},
	NoRoute:          {Status: 404, GRPC: grpcUnimplemented, Title: "No route matches the request"},
	MethodNotAllowed: {Status: 405, GRPC: grpcInvalidArgument, Title: "The method is not allowed"},
	URITooLong:       {Status: 414, GRPC: grpcInvalidArgument, Title: "The URL is too long"},
	BodyTooLarge:     {Status: 413, GRPC: grpcInvalidArgument, Title: "The body is too large"},
	BadContentType:   {Status: 415, GRPC: grpcInvalidArgument, Title: "The content type is not accepted"},
	HeaderMissing:    {Status: 400, GRPC: grpcInvalidArgument, Title: "A required header is missing"},
	HeaderDenied:     {Status: 400, GRPC: grpcInvalidArgument, Title: "A header is not allowed"},
	TokenMissing:     {Status: 401, GRPC: grpcUnauthenticated, Title: "A token is required"},
	TokenMalformed:   {Status: 400, GRPC: grpcInvalidArgument, Title: "The Authorization header is malformed"},
	TokenInvalid:     {Status: 401, GRPC: grpcUnauthenticated, Title: "The token is not valid"},
	TokenExpired:     {Status: 401, GRPC: grpcUnauthenticated, Title: "The token has expired"},
	IssuerUnknown:    {Status: 401, GRPC: grpcUnauthenticated, Title: "The token's issuer is not trusted"},
	RuleDenied:       {Status: 403, GRPC: grpcPermissionDenied, Title: "A rule denies the request"},
	NoAllowRule:      {Status: 403, GRPC: grpcPermissionDenied, Title: "No rule allows the request"},
	RateLimited:      {Status: 429, GRPC: grpcResourceExhausted, Title: "The rate limit is spent", Type: quotaExceeded},
	BreakerOpen:      {Status: 503, GRPC: grpcUnavailable, Title: "The upstream is failing; calls to it are paused"},
	BreakerProbeFull: {Status: 503, GRPC: grpcUnavailable, Title: "The upstream is recovering; few calls are let through"},
	UpstreamConnect:  {Status: 502, GRPC: grpcUnavailable, Title: "The upstream cannot be reached"},
	UpstreamReset:    {Status: 502, GRPC: grpcUnavailable, Title: "The upstream closed the connection"},
	UpstreamProtocol: {Status: 502, GRPC: grpcUnavailable, Title: "The upstream's answer is not valid HTTP"},
	UpstreamTimeout:  {Status: 504, GRPC: grpcDeadlineExceeded, Title: "The upstream did not answer in time"},
	ClientBody:       {Status: 400, GRPC: grpcInvalidArgument, Title: "The request body is malformed"},
	ClientTimeout:    {Status: 408, GRPC: grpcInvalidArgument, Title: "The request body did not arrive in time"},
	ClientClosed:     {Status: StatusClientClosed, GRPC: grpcCancelled, Title: "The client left"},
	FaultInjected:    {Status: 503, GRPC: grpcUnavailable, Title: "A fault was injected on purpose"},
	Draining:         {Status: 503, GRPC: grpcUnavailable, Title: "The proxy is shutting down"},
	InternalError:    {Status: 500, GRPC: grpcInternal, Title: "The proxy failed"},
}

// Answer returns how r is told to a client. A reason that never answers one
// is told as InternalError.
func (r Reason) Answer() Answer {
	a, ok := answers[r]
	if !ok {
		r, a = InternalError, answers[InternalError]
	}
	if a.Type == "" {
		a.Type = typePrefix + string(r)
	}
	return a
}

// ClientFault reports whether r lays the blame on the client's own doing on
// the wire: such an exchange is nobody else's failure.
func (r Reason) ClientFault() bool {
	switch r {
	case ClientBody, ClientTimeout, ClientClosed, BodyTooLarge:
		return true
	}
	return false
}
