package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// garbagePercent is how much the heap may grow before it is collected, in place
// of Go's 100. Little of what a proxy holds lives long, so that collecting it
// four times less often saves CPU time, and costs some MB.
const garbagePercent = 400

// tuneMemory says how much memory the process may use: garbagePercent, within
// nine tenths of what the container has. GOGC and GOMEMLIMIT win.
func tuneMemory(log *slog.Logger) {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(garbagePercent)
	}
	if _, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(0.9)); err != nil {
		log.Warn("memory limit not known", "error", err.Error())
	}
}
