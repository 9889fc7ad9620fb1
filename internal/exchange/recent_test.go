package exchange

import (
	"testing"
	"time"
)

func TestRecent(t *testing.T) {
	const span = 10 * time.Second
	tests := []struct {
		name  string
		at    []time.Duration // when one was counted
		asked time.Duration
		want  int
	}{
		{"nothing was counted", nil, time.Minute, 0},
		{"all of the span counts", []time.Duration{0, 4 * time.Second, 9 * time.Second}, 9 * time.Second, 3},
		{"what was counted a span ago is forgotten", []time.Duration{0, time.Second}, span, 1},
		{"it is forgotten a tenth of the span early at most", []time.Duration{999 * time.Millisecond}, span - 1, 1},
		{"a long silence forgets all", []time.Duration{0, 5 * time.Second, 9 * time.Second}, time.Hour, 0},
		{"what comes after a silence counts", []time.Duration{0, time.Hour}, time.Hour, 1},
		{"a time that is late by a lock counts as the newest", []time.Duration{5 * time.Second, 3 * time.Second}, 14 * time.Second, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			r := NewRecent[int](span, start)
			for _, at := range tt.at {
				*r.At(start.Add(at))++
			}
			got := 0
			for _, n := range r.All(start.Add(tt.asked)) {
				got += n
			}
			if got != tt.want {
				t.Errorf("counted at %v, asked at %v: got %d, want %d", tt.at, tt.asked, got, tt.want)
			}
		})
	}
}
