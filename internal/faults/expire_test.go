package faults

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// What ends by itself is told when it ends, once; what somebody ends is told
// by them.
func TestWhatEndsByItselfIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := NewSwitch(func(e exchange.Event) error {
			told = append(told, time.Now().Format("04:05 ")+e.Name+": "+e.From+" -> "+e.To+" by "+e.Who.String())
			return nil
		})
		c := Config{Percent: 100, Abort: Abort{Status: 503}, MaxDuration: 10 * time.Minute}
		enabled := c
		enabled.Enabled, enabled.MaxDuration = true, time.Minute
		s.Sync([]Named{{Name: "chaos", Config: c}, {Name: "file", Config: enabled}, {Name: "gone", Config: enabled}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		on := func(d time.Duration) {
			t.Helper()
			if _, err := s.On("chaos", Toggle{Duration: d}, by("ann")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		on(5 * time.Second)
		time.Sleep(3 * time.Second)
		on(5 * time.Second) // prolonged: it ends at 8 s
		s.Sync([]Named{{Name: "chaos", Config: c}, {Name: "file", Config: enabled}})
		time.Sleep(20 * time.Second)
		on(5 * time.Second)
		if _, err := s.Off("chaos", by("bob")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		<-done
		want := []string{
			"00:00 chaos: off -> on by ann", "00:03 chaos: on -> on by ann", "00:08 chaos: on -> off by ",
			"00:23 chaos: off -> on by ann", "00:23 chaos: on -> off by bob", "01:00 file: on -> off by ",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
