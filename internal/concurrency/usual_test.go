package concurrency

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestTheUsualTime(t *testing.T) {
	tests := []struct {
		name  string
		calls []time.Duration
		want  time.Duration
	}{
		{"of no call is unknown", nil, 0},
		{"of the first is all of it", []time.Duration{400 * ms}, 400 * ms},
		{"of the first ones is their mean", []time.Duration{900 * ms, 100 * ms, 200 * ms}, 400 * ms},
		{"of later ones forgets", []time.Duration{8, 8, 8, 8, 8, 8, 8, 8, 16, 17}, 10},
	}
	for _, tt := range tests {
		var u usual
		for _, took := range tt.calls {
			u.add(took)
		}
		if got := u.get(); got != tt.want {
			t.Errorf("the usual time %s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Which of the first calls ends first is chance, and none of them is lost.
func TestCallsThatEndAtOnceTellTheUsualTime(t *testing.T) {
	for range 20_000 {
		var u usual
		var both sync.WaitGroup
		begin := make(chan struct{})
		for range 2 {
			both.Go(func() { <-begin; u.add(400 * ms) })
		}
		close(begin)
		both.Wait()
		if got := u.get(); got != 400*ms {
			t.Fatalf("the usual time of calls that all take 400ms is %v", got)
		}
	}
}

// A wait leaves the upstream its usual time from the first call on.
func TestAWaitIsBoundedFromTheFirstCallOn(t *testing.T) {
	for _, calls := range []int{1, 2, 7, 13, 50} {
		t.Run(fmt.Sprint(calls), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, config(func(c *Config) { c.Queue = Queue{Max: 10, MaxWait: 5 * time.Second} }))
				for range calls {
					b.send("usual")
					time.Sleep(400 * ms)
					b.answer(200)
				}
				b.log = nil
				b.send("first")
				b.send("second", before(700*ms))
				time.Sleep(300 * ms) // 400ms are left
				synctest.Wait()
				b.want("second queue_timeout")
				b.finish()
			})
		})
	}
}
