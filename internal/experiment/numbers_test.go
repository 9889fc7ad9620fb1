package experiment

import (
	"testing"
	"time"
)

func TestQuantilesAreCloseFromAbove(t *testing.T) {
	for _, unit := range []time.Duration{time.Microsecond, time.Millisecond, 37 * time.Millisecond, time.Second, time.Hour} {
		var h histogram
		for i := 1; i <= 100; i++ {
			h.add(time.Duration(i) * unit)
		}
		for q, n := range map[float64]int{0.5: 50, 0.99: 99, 1: 100} {
			want := time.Duration(n) * unit
			if got := h.quantile(q); got < want || got > want+want/parts {
				t.Errorf("quantile %v of 1 to 100 times %v = %v, want %v to a 16th more", q, unit, got, want)
			}
		}
	}
	if got := new(histogram).quantile(0.99); got != 0 {
		t.Errorf("quantile of nothing = %v, want 0", got)
	}
}

func TestBucketsAreWholeAndInOrder(t *testing.T) {
	for i := range buckets - 1 {
		if got := bucket(upper(i)); got != i {
			t.Fatalf("the upper end of bucket %d, %v, is in bucket %d", i, upper(i), got)
		}
		if got := bucket(upper(i) + time.Microsecond); got != i+1 {
			t.Fatalf("just above bucket %d, %v, is bucket %d", i, upper(i), got)
		}
	}
}
