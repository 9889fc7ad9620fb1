package exchange

import (
	"slices"
	"sync"
	"testing"
)

func TestTheRecordRemembersWhoWasCalled(t *testing.T) {
	r := &Record{}
	if got := r.Called(); len(got) != 0 {
		t.Errorf("Called = %v, want none", got)
	}
	var before [][]string
	want := []string{"a:1", "b:1", "a:1", "c:1"}
	for _, endpoint := range want {
		before = append(before, r.Called())
		r.Call(endpoint)
	}
	if got := r.Called(); !slices.Equal(got, want) {
		t.Errorf("Called = %v, want %v", got, want)
	}
	for i, got := range before {
		if !slices.Equal(got, want[:i]) {
			t.Errorf("what was read before call %d is now %v, want %v", i+1, got, want[:i])
		}
	}
	r.Seal()
	r.Call("d:1")
	if got := r.Called(); len(got) != 4 {
		t.Errorf("after the end Called = %v, want %v", got, want)
	}
}

func TestAttemptsAtOnceAreAllRemembered(t *testing.T) {
	r := &Record{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r.Call("a:1")
			if !slices.Contains(r.Called(), "a:1") {
				t.Error("a call that was told is not there")
			}
		})
	}
	wg.Wait()
	if got := len(r.Called()); got != 8 {
		t.Errorf("%d calls are remembered, want 8", got)
	}
}

func TestTheUsualCallsAllocateNothing(t *testing.T) {
	records := make([]Record, 101)
	if got := testing.AllocsPerRun(100, func() {
		r := &records[0]
		records = records[1:]
		r.Call("a:1")
		r.Call("b:1")
	}); got != 0 {
		t.Errorf("two calls of an exchange: %v allocations, want none", got)
	}
}
