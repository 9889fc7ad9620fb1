package validation

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sidecar/internal/exchange"
)

// expression returns one whose levels fit no alternative: each of the two
// would look at all below it.
func expression(levels int) string {
	return strings.Repeat(`{"op":"-","left":`, levels) + "1" + strings.Repeat("}", levels)
}

func TestSmallBodyCannotMakeMuchWork(t *testing.T) {
	plain := func(c *Config) { c.JSONSchema = "expression.json" }
	tests := []struct {
		name, body string
		with       func(*Config)
		want       exchange.Reason
		told       string
	}{
		{"one that fits", `{"op":"+","left":{"op":"*","left":1}}`, plain, "", ""},
		{"one that does not", expression(2), plain, exchange.SchemaViolation, ": must fit exactly one of the alternatives"},
		{"deep ones", expression(60), plain, "", ""}, // either word will do
		{"too many errors to keep", "[" + strings.Repeat("[],", 9000) + "[]]", func(c *Config) {
			plain(c)
			c.MaxBody, c.MaxBuffered = 64<<10, 6<<20
		}, exchange.SchemaViolation, ": does not fit the schema, and is too much to tell where"},
		{"one error in much", "[" + strings.Repeat("1,", 15_000) + `"x"]`, plain, exchange.SchemaViolation, "/15000: must fit exactly one of the alternatives"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := reading(t, tt.with)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f := refusal(t, v, tt.body)
			runtime.ReadMemStats(&after)
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 200 {
				t.Errorf("%d bytes of body made %d MiB, want less than 200", len(tt.body), mib)
			}
			if tt.name == "deep ones" {
				if f == nil {
					t.Error("Check() = nil, want a refusal")
				}
				return
			}
			if (f == nil) != (tt.want == "") || f != nil && (f.Reason != tt.want || !slices.Contains(told(f), tt.told)) {
				t.Errorf("Check() = %v, %q, want %q, %q", f, told(f), tt.want, tt.told)
			}
		})
	}
}

// A small body takes little of what all share, however deep it is.
func TestErrorsOfASmallBodyLeaveRoom(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "expression.json" })
	v.buffers.limit = 4 << 20
	var done atomic.Bool
	var most int64
	var watching sync.WaitGroup
	watching.Go(func() {
		for !done.Load() {
			most = max(most, v.buffers.Used())
			runtime.Gosched()
		}
	})
	for range 5 {
		refusal(t, v, expression(60))
	}
	done.Store(true)
	watching.Wait()
	if most > 2<<20 {
		t.Errorf("%d bytes were taken, want at most half of them", most)
	}
}

// A check that was ended leaves nothing behind for those after it, and none
// gets another's count.
func TestChecksAtOnce(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "expression.json" })
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			body, bad := fmt.Sprintf(`{"op":"+","left":%d}`, i), i%8 == 0
			if bad {
				body = expression(40)
			}
			if f := refusal(t, v, body); (f != nil) != bad {
				t.Errorf("Check(%.20s) = %v, want a refusal: %v", body, f, bad)
			}
		})
	}
	all.Wait()
	if s := v.schema.copies; len(s.ready)+len(s.spare) != cap(s.ready) {
		t.Errorf("%d copies are ready and %d spare, want %d in all", len(s.ready), len(s.spare), cap(s.ready))
	}
}
