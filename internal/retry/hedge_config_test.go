package retry

import (
	"testing"
	"time"
)

func TestHedgeAfter(t *testing.T) {
	tests := []struct {
		text string
		want HedgeAfter
		ok   bool
	}{
		{"100ms", HedgeAfter{Fixed: 100 * ms}, true},
		{"1m30s", HedgeAfter{Fixed: 90 * time.Second}, true},
		{"0", HedgeAfter{}, true}, // too soon, as Validate says
		{"p50", HedgeAfter{Percentile: 50}, true},
		{"p99", HedgeAfter{Percentile: 99}, true},
		{"", HedgeAfter{}, false},
		{"p", HedgeAfter{}, false},
		{"p49", HedgeAfter{}, false},
		{"p100", HedgeAfter{}, false},
		{"p095", HedgeAfter{}, false},
		{"p99.9", HedgeAfter{}, false},
		{"P95", HedgeAfter{}, false},
		{"95", HedgeAfter{}, false},
		{"-1s", HedgeAfter{}, false},
	}
	for _, tt := range tests {
		var got HedgeAfter
		if err := got.UnmarshalText([]byte(tt.text)); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q is read as %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

func FuzzHedgeAfter(f *testing.F) {
	for _, text := range []string{"100ms", "p95", "p", "0", "-1s", "1h", "p\u0665\u0665"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a, again HedgeAfter
		if a.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, err := a.MarshalText()
		if err != nil || again.UnmarshalText(written) != nil || again != a {
			t.Errorf("%q is read as %v, and written as %q, %v", text, a, written, err)
		}
	})
}
