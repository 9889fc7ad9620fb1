package main

import (
	"context"
	"os"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatABusyTimeLeftIsGivenBackInALull(t *testing.T) {
	const live = 10 << 20 // bytes, that are held after each time
	quiet := usage{}
	busy := usage{allocated: 1 << 20, held: 1 << 20}
	grown := func(by uint64) usage { return usage{held: by} }
	shrunk := usage{held: ^uint64(6<<20 - 1)} // by 6 MiB: it wraps around
	tests := []struct {
		name  string
		takes time.Duration
		lulls []usage // what is more in each of them
		want  []int   // those at whose end it was given back, from 1
	}{
		{"what the start took", 0, []usage{quiet, quiet}, []int{1}},
		{"nothing while requests come", 0, []usage{busy, busy, busy, busy}, nil},
		{"once when they come no more", 0, []usage{busy, busy, quiet, quiet, quiet}, []int{3}},
		{"each time when they come again", 0, []usage{quiet, busy, busy, busy, busy, quiet, quiet}, []int{1, 6}},
		{"a request now and then is quiet", 0, []usage{{allocated: nextToNothing - 1}, quiet}, []int{1}},
		{"a few dozen of them are not", 0, []usage{{allocated: nextToNothing}, quiet}, []int{2}},
		{"nothing for little", 0, []usage{quiet, grown(worthwhile - 1), quiet, quiet}, []int{1}},
		{"little and little are enough", 0, []usage{quiet, grown(worthwhile - 1), grown(1), quiet, quiet, quiet}, []int{1, 6}},
		{"less often looked while there is nothing", 0, []usage{quiet, quiet, grown(worthwhile), quiet, quiet, quiet}, []int{1, 6}},
		{"what the runtime gave back is no more held", 0, []usage{quiet, shrunk, grown(worthwhile), quiet, quiet, quiet}, []int{1, 6}},
		{"not again for fifty times as long as it took", lull / 10, []usage{quiet, grown(worthwhile), quiet, quiet, quiet, quiet, quiet}, []int{1, 6}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var got []int
				var given uint64 // bytes, so far
				began := time.Now()
				use := func() usage {
					sum := usage{held: live + worthwhile - given}
					for _, more := range tt.lulls[:time.Since(began)/lull] {
						sum.allocated += more.allocated
						sum.held += more.held
					}
					return sum
				}
				go giveBack(ctx, use, func() {
					got = append(got, int(time.Since(began)/lull))
					given += use().held - live
					time.Sleep(tt.takes)
				})
				time.Sleep(time.Duration(len(tt.lulls))*lull + tt.takes)
				cancel()
				synctest.Wait()
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("given back at the end of lull (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWhoTunesTheCollectorHasItToHimself(t *testing.T) {
	tests := []struct {
		name, variable string
		want           bool
	}{
		{"nobody does", "", true},
		{"GOGC does", "GOGC", false},
		{"GOMEMLIMIT does", "GOMEMLIMIT", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
				t.Setenv(name, "") // to have it back
				if name != tt.variable {
					_ = os.Unsetenv(name)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				before := forced()
				stop := leaveQuiet()
				time.Sleep(20 * lull)
				synctest.Wait()
				stop()
				if got := forced() > before; got != tt.want {
					t.Errorf("collected in a lull: %t, want %t", got, tt.want)
				}
			})
		})
	}
}

// forced returns how many collections were asked for.
func forced() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
