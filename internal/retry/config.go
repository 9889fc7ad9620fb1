package retry

import (
	"fmt"
	"time"

	"sidecar/internal/exchange"
)

// Config is a retry policy.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// MaxAttempts is the most calls made for one request, the first and hedges
	// included. 1 to 10; default 3.
	MaxAttempts int `yaml:"maxAttempts"`

	// RetryOn says which outcomes are worth another call. connect-failure and
	// reset-before-request are repeated for every method, since nothing was
	// sent; the others only for Methods, or with an Idempotency-Key.
	// Default: connect-failure, reset-before-request, reset, 502, 503,
	// grpc-unavailable.
	RetryOn exchange.Conditions `yaml:"retryOn"`

	// Methods are those that may be repeated although the upstream may have
	// acted (RFC 9110 section 9.2.2).
	// Default: GET, HEAD, OPTIONS, PUT, DELETE.
	Methods []string `yaml:"methods"`

	// PerTryTimeout ends an attempt that has no response headers by then,
	// while another attempt is still possible, and so only if RetryOn names
	// timeout. Default 0: none.
	PerTryTimeout time.Duration `yaml:"perTryTimeout,omitempty"`

	// Backoff is the wait before another attempt: drawn at random between
	// nothing and Base, which doubles each time, up to Max ("full jitter",
	// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
	// Default 25ms, 1s.
	Backoff Backoff `yaml:"backoff"`

	// RetryAfter is how long a Retry-After of the upstream is waited for. One
	// that asks for more ends the retries: the client gets the answer.
	// Default 5s.
	RetryAfter RetryAfter `yaml:"retryAfter"`

	// MaxBufferedBody is the largest body that is kept for another attempt. A
	// larger one streams through and is not repeated. Default 64KiB.
	MaxBufferedBody exchange.Size `yaml:"maxBufferedBody"`

	// Hedge begins another attempt beside one that is slow. Default: none.
	Hedge *Hedge `yaml:"hedge,omitempty"`
}

// Backoff bounds the wait between attempts.
type Backoff struct {
	Base time.Duration `yaml:"base"`
	Max  time.Duration `yaml:"max"`
}

// RetryAfter bounds the wait that the upstream asks for.
type RetryAfter struct {
	Max time.Duration `yaml:"max"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{
		Line:        c.Line,
		MaxAttempts: 3,
		RetryOn: exchange.Conditions{
			"connect-failure", "reset-before-request", "reset", "502", "503", "grpc-unavailable",
		},
		Methods:         []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"},
		Backoff:         Backoff{Base: 25 * time.Millisecond, Max: time.Second},
		RetryAfter:      RetryAfter{Max: 5 * time.Second},
		MaxBufferedBody: 64 << 10,
	}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.Range(report, "maxAttempts", c.MaxAttempts, 1, 10)
	exchange.Methods(report, "methods", c.Methods)
	exchange.Between(report, "perTryTimeout", c.PerTryTimeout, 0, time.Hour)
	exchange.Between(report, "backoff.base", c.Backoff.Base, 0, time.Minute)
	if c.Backoff.Max < c.Backoff.Base {
		report("backoff.max", fmt.Sprintf("must be at least base, %v, got %v", c.Backoff.Base, c.Backoff.Max))
	}
	exchange.Between(report, "backoff.max", c.Backoff.Max, 0, time.Hour)
	exchange.Between(report, "retryAfter.max", c.RetryAfter.Max, 0, time.Hour)
	exchange.Range(report, "maxBufferedBody", int64(c.MaxBufferedBody), 0, 64<<20)
	if c.Hedge != nil {
		c.Hedge.validate(report, c.MaxAttempts)
	}
}

// BudgetConfig is an upstream's retryBudget, shared by every route on it: over
// Window there may be as many retries and hedges as Percent of the first
// attempts, and MinPerSecond beside that, so that a quiet service can retry too.
// Default 20, 5, 10s.
type BudgetConfig struct {
	Percent      int           `yaml:"percent"`
	MinPerSecond int           `yaml:"minPerSecond"`
	Window       time.Duration `yaml:"window"`
}

// SetDefaults fills c with what is not said.
func (c *BudgetConfig) SetDefaults() {
	*c = BudgetConfig{Percent: 20, MinPerSecond: 5, Window: 10 * time.Second}
}

// Validate reports every problem with c.
func (c *BudgetConfig) Validate(report exchange.Report) {
	exchange.Range(report, "percent", c.Percent, 0, 1000)
	exchange.Range(report, "minPerSecond", c.MinPerSecond, 0, 100_000)
	exchange.Between(report, "window", c.Window, time.Second, time.Minute)
}
