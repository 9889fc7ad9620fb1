package exchange

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestADecisionOfATracedExchangeTellsWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traced, other := &Record{TraceID: "4bf9"}, &Record{}
		time.Sleep(time.Second)
		traced.Note(Decision{Kind: Retry})
		other.Note(Decision{Kind: Retry})
		if at := traced.Decisions()[0].At; !at.Equal(time.Now()) {
			t.Errorf("noted at %v, want now", at)
		}
		if at := other.Decisions()[0].At; !at.IsZero() {
			t.Errorf("noted at %v, want nothing: nobody asks", at)
		}
	})
}
