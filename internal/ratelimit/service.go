package ratelimit

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	descriptors "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"sidecar/internal/exchange"
)

// service is a rate limit service that speaks Envoy's protocol
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ratelimit/v3/rls.proto).
type service struct {
	domain string
	conn   *grpc.ClientConn
	client rls.RateLimitServiceClient
}

// What a service may put into an answer to a client.
const (
	maxServiceFields = 16
	maxServiceField  = 1 << 10
	maxServiceAnswer = 64 << 10
)

func newService(c StoreConfig, tlsConfig *tls.Config) (*service, error) {
	secure := insecure.NewCredentials()
	if tlsConfig != nil {
		secure = credentials.NewTLS(tlsConfig)
	}
	conn, err := grpc.NewClient("dns:///"+c.Service,
		grpc.WithTransportCredentials(secure),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithUserAgent("sidecar"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxServiceAnswer)),
		// How often a service that is away is tried is for pause to say.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPause / 2, Multiplier: 1.6, Jitter: .2, MaxDelay: longestPause / 2},
			MinConnectTimeout: max(c.Timeout, time.Second),
		}))
	if err != nil {
		return nil, err
	}
	return &service{domain: c.Domain, conn: conn, client: rls.NewRateLimitServiceClient(conn)}, nil
}

// take implements backend.
func (s *service) take(ctx context.Context, q question) (answer, error) {
	got, err := s.ask(ctx, q.entries())
	if err != nil {
		return answer{}, err
	}
	a := answer{ok: got.GetOverallCode() == rls.RateLimitResponse_OK, header: s.header(got)}
	if statuses := got.GetStatuses(); len(statuses) > 0 {
		a.level, a.known = levelOf(statuses[0], a.ok)
	}
	return a, nil
}

func (s *service) ask(ctx context.Context, entries []entry, opts ...grpc.CallOption) (*rls.RateLimitResponse, error) {
	d := &descriptors.RateLimitDescriptor{}
	for _, e := range entries {
		d.Entries = append(d.Entries, &descriptors.RateLimitDescriptor_Entry{Key: e.key, Value: e.value})
	}
	got, err := s.client.ShouldRateLimit(ctx, &rls.RateLimitRequest{
		Domain: s.domain, Descriptors: []*descriptors.RateLimitDescriptor{d}, HitsAddend: 1,
	}, opts...)
	if err != nil {
		return nil, err
	}
	if code := got.GetOverallCode(); code != rls.RateLimitResponse_OK && code != rls.RateLimitResponse_OVER_LIMIT {
		return nil, fmt.Errorf("the answer is %v, must be OK or OVER_LIMIT", code)
	}
	return got, nil
}

// units are how long those are that a service counts in. It may count in months
// and years, which have no length of their own.
var units = map[rls.RateLimitResponse_RateLimit_Unit]time.Duration{
	rls.RateLimitResponse_RateLimit_SECOND: time.Second,
	rls.RateLimitResponse_RateLimit_MINUTE: time.Minute,
	rls.RateLimitResponse_RateLimit_HOUR:   time.Hour,
	rls.RateLimitResponse_RateLimit_DAY:    24 * time.Hour,
	rls.RateLimitResponse_RateLimit_WEEK:   7 * 24 * time.Hour,
	rls.RateLimitResponse_RateLimit_MONTH:  30 * 24 * time.Hour,
	rls.RateLimitResponse_RateLimit_YEAR:   365 * 24 * time.Hour,
}

// levelOf returns what a service says of a limit, if it has one.
func levelOf(st *rls.RateLimitResponse_DescriptorStatus, ok bool) (l level, known bool) {
	reset := int64(duration(st.GetDurationUntilReset()))
	if !ok {
		l.wait = max(reset, 1)
	}
	limit := st.GetCurrentLimit()
	window := units[limit.GetUnit()]
	if limit.GetRequestsPerUnit() == 0 || window == 0 {
		return l, false
	}
	l.remaining, l.full = int64(st.GetLimitRemaining()), reset
	l.quota, l.window = int64(limit.GetRequestsPerUnit()), int64(window)
	if !ok {
		l.remaining = 0
	} else if l.remaining == 0 {
		l.wait = reset
	}
	return l, true
}

func duration(d *durationpb.Duration) time.Duration {
	return min(max(d.AsDuration(), 0), 365*24*time.Hour)
}

// header returns the fields that the service adds to the client's answer,
// without those that it must not touch.
func (s *service) header(got *rls.RateLimitResponse) []exchange.Field {
	var fields []exchange.Field
	for _, h := range got.GetResponseHeadersToAdd() {
		if mayAdd(h.GetKey(), h.GetValue()) && len(fields) < maxServiceFields {
			fields = append(fields, exchange.Field{Name: h.GetKey(), Value: h.GetValue()})
		}
	}
	return fields
}

// ours are the fields that a service must not add: they say how a message is
// sent, or are the sidecar's own word.
var ours = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Date": true, "Via": true, "Proxy-Status": true, "Retry-After": true,
	"X-Request-Id": true, policyField: true, limitField: true,
}

// oursBegin is how the names of families of such fields begin.
var oursBegin = []string{"Content-", "Grpc-", "Sec-Websocket-"}

func mayAdd(name, value string) bool {
	name = http.CanonicalHeaderKey(name)
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) &&
		len(name)+len(value) <= maxServiceField && !ours[name] &&
		!slices.ContainsFunc(oursBegin, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// giveBack implements backend. The protocol has no word for it, so it is not
// called.
func (s *service) giveBack(context.Context, question, int64) error { return nil }

// probe implements backend.
func (s *service) probe(ctx context.Context) error {
	_, err := s.ask(ctx, []entry{{"sidecar_probe", "true"}}, grpc.WaitForReady(true))
	return err
}

// close implements backend.
func (s *service) close() { _ = s.conn.Close() }
