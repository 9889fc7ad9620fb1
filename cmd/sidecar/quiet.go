package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// lull is how long next to nothing must be allocated until the process is
	// quiet.
	lull = 250 * time.Millisecond
	// idle is how long it looks away when there is nothing to give back: looking
	// costs little, waking a process that sleeps does not.
	idle = 4 * lull
	// nextToNothing is, in bytes, less than some dozen requests allocate, or one
	// look at the metrics.
	nextToNothing = 64 << 10
	// worthwhile is how many bytes more must be held than after the last time.
	worthwhile = 4 << 20
	// pauses is how many times as long as giving back took nothing is given
	// back again: clients that come in bursts do not have it done after each.
	pauses = 50
)

// usage is what the process has to do with memory.
type usage struct {
	allocated uint64 // bytes, since it started
	held      uint64 // bytes, that it has from the system now
}

// leaveQuiet gives memory back whenever the process has gone quiet, until the
// function that it returns is called. With GOGC or GOMEMLIMIT set it does
// nothing: who tunes the collector has it to himself.
//
// Go collects garbage when more is allocated, or after two minutes, and gives
// slowly back what it does not expect to need. What a busy time has left behind
// would stay while nobody asks for anything, and the service next door could
// not have it.
func leaveQuiet() (stop func()) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := os.LookupEnv(name); set {
			return func() {}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { giveBack(ctx, use, release) })
	return func() {
		cancel()
		running.Wait()
	}
}

// giveBack calls release in each lull in which it is worthwhile, until ctx ends;
// use tells what there is. It asks the runtime, not the proxy: whatever keeps
// the process busy does so with memory, and the way of a request stays free of
// it.
func giveBack(ctx context.Context, use func() usage, release func()) {
	last, least, resume := use(), uint64(0), time.Now()
	for wait := lull; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		now := use()
		quiet := now.allocated-last.allocated < nextToNothing
		last, least, wait = now, min(least, now.held), lull
		switch began := time.Now(); {
		case !quiet || began.Before(resume):
		case now.held < least+worthwhile:
			wait = idle
		default:
			release()
			last = use()
			least, resume = last.held, time.Now().Add(pauses*time.Since(began))
		}
	}
}

// use asks the runtime; nothing is stopped for it.
func use() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return usage{
		allocated: samples[0].Value.Uint64(),
		held:      samples[1].Value.Uint64() - samples[2].Value.Uint64(),
	}
}

// release collects twice: what is in a sync.Pool outlives the first time, and
// stacks shrink by half each time. Requests that come meanwhile are served.
func release() {
	runtime.GC()
	debug.FreeOSMemory()
}
