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

	QueryInvalid     Reason = "query_invalid"
	ParameterInvalid Reason = "parameter_invalid"
	OperationUnknown Reason = "operation_unknown"
	BadEncoding      Reason = "bad_content_encoding"
	BodyMalformed    Reason = "body_malformed"
	BodyTooComplex   Reason = "body_too_complex"
	SchemaViolation  Reason = "schema_violation"
	BuffersFull      Reason = "buffers_full"

	TokenMissing   Reason = "token_missing"
	TokenMalformed Reason = "token_malformed"
	TokenInvalid   Reason = "token_invalid"
	TokenExpired   Reason = "token_expired"
	IssuerUnknown  Reason = "issuer_unknown"

	CredentialMissing  Reason = "credential_missing"
	APIKeyInvalid      Reason = "api_key_invalid"
	CertificateInvalid Reason = "certificate_invalid"

	JWKSUnavailable Reason = "jwks_unavailable"

	IntrospectionUnavailable Reason = "introspection_unavailable"

	RuleDenied  Reason = "rbac_denied"
	NoAllowRule Reason = "no_allow_rule"

	ExternalDenied   Reason = "external_denied"
	AuthzUnavailable Reason = "authz_unavailable"

	RateLimited      Reason = "rate_limited"
	StoreUnavailable Reason = "store_unavailable"

	Overloaded   Reason = "overloaded"
	QueueTimeout Reason = "queue_timeout"

	BreakerOpen      Reason = "breaker_open"
	BreakerProbeFull Reason = "breaker_probe_full"

	UpstreamConnect  Reason = "upstream_connect"
	UpstreamReset    Reason = "upstream_reset"
	UpstreamProtocol Reason = "upstream_protocol"
	UpstreamTimeout  Reason = "upstream_timeout"
	DeadlineExceeded Reason = "deadline_exceeded"

	UpstreamConnectTimeout Reason = "upstream_connect_timeout"
	UpstreamTLSTimeout     Reason = "upstream_tls_timeout"
	UpstreamHeaderTimeout  Reason = "upstream_header_timeout"
	PerTryTimeout          Reason = "per_try_timeout"
	MaxDuration            Reason = "max_duration"

	ClientBody    Reason = "client_body"
	ClientTimeout Reason = "client_timeout"
	ClientClosed  Reason = "client_closed"

	FaultInjected Reason = "fault_injected"
	Draining      Reason = "draining"
	InternalError Reason = "internal_error"
)

// Reasons that never answer a client: they are told in the record only.
const (
	Queued            Reason = "queued"               // it waited for a place at the upstream, and got one
	RateLimitWait     Reason = "rate_limit_wait"      // the request waited until the rate let it pass
	FallbackServed    Reason = "fallback"             // the breaker's fallback answered in place of its refusal
	FallbackUpstream  Reason = "fallback_upstream"    // the upstream of the breaker's fallback was asked in place of its refusal
	BudgetExhausted   Reason = "budget_exhausted"     // not repeated: the upstream's retry budget is spent
	BodyNotReplayable Reason = "body_not_replayable"  // not repeated: the body is larger than maxBufferedBody, or was not read to its end
	RetryAfterTooLong Reason = "retry_after_too_long" // not repeated: the upstream asks for a longer wait than retryAfter.max, or than there is time
	Hedged            Reason = "hedged"               // another attempt was begun beside one that did not answer
	HedgeWon          Reason = "hedge_won"            // the answer is that of a hedge
	HedgeLost         Reason = "hedge_lost"           // a hedge was begun for nothing: another attempt answered, or none did
	FaultDelay        Reason = "fault_delay"          // the call was delayed on purpose
	FaultAbort        Reason = "fault_abort"          // the call was broken on purpose
	FaultBody         Reason = "fault_body"           // the body of the answer was slowed, cut or changed on purpose
	UpgradeIgnored    Reason = "upgrade_ignored"      // the wish for a protocol that is not in upgrade was not passed on
	UpstreamBody      Reason = "upstream_body"        // the upstream's answer broke off after its headers
	StreamIdle        Reason = "stream_idle"          // no progress in either direction for streamIdleTimeout
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

	// Proxy is the error type in Proxy-Status (RFC 9209 section 2.3).
	Proxy string
}

// typePrefix is put before a reason to make its problem type, where no
// registered type says the same.
const typePrefix = "urn:sidecar:problem:"

// quotaExceeded is the registered problem type for a spent quota
// (draft-ietf-httpapi-ratelimit-headers, section "Problem Types").
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// reducedCapacity is the registered problem type for load that is shed (the same
// draft and section).
const reducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"

// answers is the one table from which every answer of our own follows.
var answers = map[Reason]Answer{
	PathAmbiguous:            {Status: 400, GRPC: grpcInvalidArgument, Title: "The path can be read in more than one way", Proxy: "http_request_error"},
	LoopDetected:             {Status: 508, GRPC: grpcInternal, Title: "The request came back to this proxy", Proxy: "proxy_loop_detected"},
	NoRoute:                  {Status: 404, GRPC: grpcUnimplemented, Title: "No route matches the request", Proxy: "destination_not_found"},
	MethodNotAllowed:         {Status: 405, GRPC: grpcInvalidArgument, Title: "The method is not allowed", Proxy: "http_request_error"},
	URITooLong:               {Status: 414, GRPC: grpcInvalidArgument, Title: "The URL is too long", Proxy: "http_request_error"},
	BodyTooLarge:             {Status: 413, GRPC: grpcInvalidArgument, Title: "The body is too large", Proxy: "http_request_error"},
	BadContentType:           {Status: 415, GRPC: grpcInvalidArgument, Title: "The content type is not accepted", Proxy: "http_request_error"},
	HeaderMissing:            {Status: 400, GRPC: grpcInvalidArgument, Title: "A required header is missing", Proxy: "http_request_error"},
	HeaderDenied:             {Status: 400, GRPC: grpcInvalidArgument, Title: "A header is not allowed", Proxy: "http_request_error"},
	QueryInvalid:             {Status: 400, GRPC: grpcInvalidArgument, Title: "The query is not accepted", Proxy: "http_request_error"},
	ParameterInvalid:         {Status: 400, GRPC: grpcInvalidArgument, Title: "A parameter does not fit the API's description", Proxy: "http_request_error"},
	OperationUnknown:         {Status: 404, GRPC: grpcUnimplemented, Title: "The API's description has no such path", Proxy: "destination_not_found"},
	BadEncoding:              {Status: 415, GRPC: grpcInvalidArgument, Title: "The content encoding is not accepted", Proxy: "http_request_error"},
	BodyMalformed:            {Status: 400, GRPC: grpcInvalidArgument, Title: "The body is not what it says it is", Proxy: "http_request_error"},
	BodyTooComplex:           {Status: 400, GRPC: grpcInvalidArgument, Title: "The body is too deep, or has too many parts", Proxy: "http_request_error"},
	SchemaViolation:          {Status: 422, GRPC: grpcInvalidArgument, Title: "The body does not fit the schema", Proxy: "http_request_error"},
	BuffersFull:              {Status: 503, GRPC: grpcUnavailable, Title: "Too many bodies are being checked", Proxy: "proxy_internal_error"},
	TokenMissing:             {Status: 401, GRPC: grpcUnauthenticated, Title: "A token is required", Proxy: "http_request_denied"},
	TokenMalformed:           {Status: 400, GRPC: grpcInvalidArgument, Title: "The Authorization header is malformed", Proxy: "http_request_denied"},
	TokenInvalid:             {Status: 401, GRPC: grpcUnauthenticated, Title: "The token is not valid", Proxy: "http_request_denied"},
	TokenExpired:             {Status: 401, GRPC: grpcUnauthenticated, Title: "The token has expired", Proxy: "http_request_denied"},
	IssuerUnknown:            {Status: 401, GRPC: grpcUnauthenticated, Title: "The token's issuer is not trusted", Proxy: "http_request_denied"},
	CredentialMissing:        {Status: 401, GRPC: grpcUnauthenticated, Title: "A credential is required", Proxy: "http_request_denied"},
	APIKeyInvalid:            {Status: 401, GRPC: grpcUnauthenticated, Title: "The API key is not valid", Proxy: "http_request_denied"},
	CertificateInvalid:       {Status: 401, GRPC: grpcUnauthenticated, Title: "The client certificate is not accepted", Proxy: "http_request_denied"},
	JWKSUnavailable:          {Status: 503, GRPC: grpcUnavailable, Title: "The keys of the token's issuer are not available", Proxy: "proxy_internal_error"},
	IntrospectionUnavailable: {Status: 503, GRPC: grpcUnavailable, Title: "The token's issuer cannot be asked about it", Proxy: "proxy_internal_error"},
	RuleDenied:               {Status: 403, GRPC: grpcPermissionDenied, Title: "A rule denies the request", Proxy: "http_request_denied"},
	NoAllowRule:              {Status: 403, GRPC: grpcPermissionDenied, Title: "No rule allows the request", Proxy: "http_request_denied"},
	ExternalDenied:           {Status: 403, GRPC: grpcPermissionDenied, Title: "The decision point refuses the request", Proxy: "http_request_denied"},
	AuthzUnavailable:         {Status: 503, GRPC: grpcUnavailable, Title: "The decision point is not available", Proxy: "proxy_internal_error"},
	RateLimited:              {Status: 429, GRPC: grpcResourceExhausted, Title: "The rate limit is spent", Type: quotaExceeded, Proxy: "http_request_denied"},
	StoreUnavailable:         {Status: 503, GRPC: grpcUnavailable, Title: "The store of the rate limit is not available", Proxy: "proxy_internal_error"},
	Overloaded:               {Status: 503, GRPC: grpcUnavailable, Title: "The upstream has no capacity left", Type: reducedCapacity, Proxy: "connection_limit_reached"},
	QueueTimeout:             {Status: 503, GRPC: grpcUnavailable, Title: "The upstream has no capacity left", Type: reducedCapacity, Proxy: "connection_limit_reached"},
	BreakerOpen:              {Status: 503, GRPC: grpcUnavailable, Title: "The upstream is failing; calls to it are paused", Proxy: "destination_unavailable"},
	BreakerProbeFull:         {Status: 503, GRPC: grpcUnavailable, Title: "The upstream is recovering; few calls are let through", Proxy: "destination_unavailable"},
	UpstreamConnect:          {Status: 502, GRPC: grpcUnavailable, Title: "The upstream cannot be reached", Proxy: "destination_unavailable"},
	UpstreamReset:            {Status: 502, GRPC: grpcUnavailable, Title: "The upstream closed the connection", Proxy: "connection_terminated"},
	UpstreamProtocol:         {Status: 502, GRPC: grpcUnavailable, Title: "The upstream's answer is not valid HTTP", Proxy: "http_protocol_error"},
	UpstreamTimeout:          {Status: 504, GRPC: grpcDeadlineExceeded, Title: "The upstream did not answer in time", Proxy: "http_response_timeout"},
	DeadlineExceeded:         {Status: 504, GRPC: grpcDeadlineExceeded, Title: "The caller's deadline has passed", Proxy: "http_response_timeout"},
	UpstreamConnectTimeout:   {Status: 502, GRPC: grpcUnavailable, Title: "The upstream did not accept a connection in time", Proxy: "connection_timeout"},
	UpstreamTLSTimeout:       {Status: 502, GRPC: grpcUnavailable, Title: "The upstream did not finish the TLS handshake in time", Proxy: "connection_timeout"},
	UpstreamHeaderTimeout:    {Status: 504, GRPC: grpcDeadlineExceeded, Title: "The upstream had the request and did not begin its answer in time", Proxy: "http_response_timeout"},
	PerTryTimeout:            {Status: 504, GRPC: grpcDeadlineExceeded, Title: "The last attempt did not answer in time", Proxy: "http_response_timeout"},
	MaxDuration:              {Status: 504, GRPC: grpcDeadlineExceeded, Title: "The exchange took as long as its route allows", Proxy: "http_response_timeout"},
	ClientBody:               {Status: 400, GRPC: grpcInvalidArgument, Title: "The request body is malformed", Proxy: "http_request_error"},
	ClientTimeout:            {Status: 408, GRPC: grpcInvalidArgument, Title: "The request body did not arrive in time", Proxy: "http_request_error"},
	ClientClosed:             {Status: StatusClientClosed, GRPC: grpcCancelled, Title: "The client left", Proxy: "http_request_error"},
	FaultInjected:            {Status: 503, GRPC: grpcUnavailable, Title: "A fault was injected on purpose", Proxy: "proxy_internal_response"},
	Draining:                 {Status: 503, GRPC: grpcUnavailable, Title: "The proxy is shutting down", Proxy: "destination_unavailable"},
	InternalError:            {Status: 500, GRPC: grpcInternal, Title: "The proxy failed", Proxy: "proxy_internal_error"},
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
