package ratelimit

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisConns is how many connections there are at most; more calls wait.
const redisConns = 64

// redisStore is a Redis.
type redisStore struct {
	client *redis.Client
	probes string // the key that probes use
}

// quietRedis has the library log nothing: what it would say is told by the
// errors of calls.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

// Printf implements the library's logger.
func (noLog) Printf(context.Context, string, ...any) {}

func newRedis(c StoreConfig, password string, tlsConfig *tls.Config) *redisStore {
	quietRedis()
	at, _ := parseRedis(c.RedisURL) // c is valid
	if tlsConfig != nil && tlsConfig.ServerName == "" {
		tlsConfig = tlsConfig.Clone()
		tlsConfig.ServerName = c.Host()
	}
	return &redisStore{
		probes: prefixOf(c) + ":ratelimit:probe",
		client: redis.NewClient(&redis.Options{
			Addr: at.address, DB: at.database, Username: at.user, Password: password, TLSConfig: tlsConfig,
			Protocol: 2, // nothing of 3 is used

			// Without the first of these a call would last as long as it likes, and
			// without the second it would be made four times.
			ContextTimeoutEnabled: true,
			MaxRetries:            -1,
			DialerRetries:         1,
			DialTimeout:           2 * c.Timeout,
			ReadTimeout:           c.Timeout,
			WriteTimeout:          c.Timeout,
			PoolTimeout:           c.Timeout,

			PoolSize:         redisConns,
			MaxActiveConns:   redisConns,
			PipelinePoolSize: -1,
			ConnMaxIdleTime:  5 * time.Minute,
			ReadBufferSize:   4 << 10,
			WriteBufferSize:  4 << 10,

			// No commands on connecting but those that are needed.
			DisableIdentity:          true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}),
	}
}

// take implements backend.
func (s *redisStore) take(ctx context.Context, q question) (answer, error) {
	if q.window != nil {
		return s.takePart(ctx, q)
	}
	l := q.limit
	got, err := s.run(ctx, takePlace, q.keyName(), 3,
		micros(l.interval), micros(l.free), micros(int64(q.patience)), micros(l.full))
	if err != nil {
		return answer{}, err
	}
	debt := got[1] * int64(time.Microsecond)
	if got[0] != 1 {
		return answer{known: true, level: l.refused(debt, int64(q.patience))}, nil
	}
	delay := min(time.Duration(got[2])*time.Microsecond, q.patience) // whatever it says
	return answer{ok: true, known: true, level: l.level(debt), delay: delay}, nil
}

func (s *redisStore) takePart(ctx context.Context, q question) (answer, error) {
	got, err := s.run(ctx, takePart, q.keyName(), 5, q.window.most, micros(q.window.part), parts)
	if err != nil {
		return answer{}, err
	}
	micro := int64(time.Microsecond)
	return answer{
		ok: got[0] == 1, known: true, part: got[4],
		level: level{remaining: got[1], wait: got[2] * micro, full: got[3] * micro},
	}, nil
}

// giveBack implements backend.
func (s *redisStore) giveBack(ctx context.Context, q question, part int64) error {
	var err error
	if q.window != nil {
		_, err = s.run(ctx, givePart, q.keyName(), 1, part)
	} else {
		_, err = s.run(ctx, givePlace, q.keyName(), 1, micros(q.limit.interval))
	}
	return err
}

// probe implements backend. It writes, since a Redis that only reads is no good.
func (s *redisStore) probe(ctx context.Context) error {
	_, err := s.run(ctx, takePlace, s.probes, 3, 1000, 1000, 1000, 2000)
	return err
}

// close implements backend.
func (s *redisStore) close() { _ = s.client.Close() }

// run returns the n numbers that a script answers with.
func (s *redisStore) run(ctx context.Context, script *redis.Script, key string, n int, args ...any) ([]int64, error) {
	got, err := script.Run(ctx, s.client, []string{key}, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	if len(got) != n {
		return nil, fmt.Errorf("the answer has %d numbers, must have %d", len(got), n)
	}
	return got, nil
}

// micros writes nanoseconds as a script reads them.
func micros(nanos int64) float64 { return float64(nanos) / float64(time.Microsecond) }
