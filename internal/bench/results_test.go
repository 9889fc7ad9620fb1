package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A machine that is slow for one round is slow for both: the ratio is that of
// each round, not that of two medians.
func TestFiguresAreComparedWithinTheirRound(t *testing.T) {
	own, bare := figures{10, 100, 30}, figures{20, 100, 120}
	if got, want := own.with(bare, ratio).text(2), "0.50 [0.25 to 1.00]"; got != want {
		t.Errorf("ratios are %s, want %s", got, want)
	}
}

func TestMedian(t *testing.T) {
	tests := []struct {
		name string
		of   figures
		want float64
	}{
		{"of one", figures{3}, 3},
		{"of an odd number", figures{9, 1, 5}, 5},
		{"of an even number, in the middle", figures{8, 2, 4, 1}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.of.median(); got != tt.want {
				t.Errorf("median of %v = %v, want %v", tt.of, got, tt.want)
			}
		})
	}
}

func TestWhatIsOverTheLimitIsTold(t *testing.T) {
	r := newResults()
	for i, c := range promised {
		r.cpu[run{bare, c.load.name}] = figures{100, 100}
		r.cpu[c.run()] = figures{c.atMost * 100, c.atMost * 100}
		if i == 1 {
			r.cpu[c.run()] = figures{90, 80}
		}
	}
	lines := strings.Split(strings.TrimSpace(r.contestTable()), "\n")[2:]
	for i, line := range lines {
		want := "| yes "
		if i == 1 {
			want = "| **0.85 [0.80 to 0.90]** | 0.76    | **no**"
		}
		if !strings.Contains(line, want) {
			t.Errorf("row %d is %s, want %s in it", i+1, line, want)
		}
	}
}

func TestParseBenchmarks(t *testing.T) {
	const out = `goos: linux
BenchmarkChain/empty-2         	   26338	     14028 ns/op	    5109 B/op	      38 allocs/op
BenchmarkChain/full 	    100	       900.5 ns/op	    6906 B/op	      49 allocs/op
BenchmarkSchema-16 	   6480	     49500 ns/op	  20.60 MB/s	    5113 B/op	       0 allocs/op
BenchmarkSchema-16 	   6480	     47500 ns/op	  21.60 MB/s	    5113 B/op	       0 allocs/op
BenchmarkSchema-16 	   6480	     48500 ns/op	  21.20 MB/s	    5113 B/op	       0 allocs/op
BenchmarkOther-2 	   6480	     47500 ns/op
PASS
`
	want := map[string]benchmark{
		emptyChain: {14.028, 38},
		fullChain:  {0.9005, 49},
		schema:     {47.5, 0},
	}
	if diff := cmp.Diff(want, parseBenchmarks(out), cmp.AllowUnexported(benchmark{})); diff != "" {
		t.Errorf("parseBenchmarks (-want +got):\n%s", diff)
	}
}
