package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"sidecar/internal/metrics"
)

// Set by the linker: -X main.version=v1.2.3 -X main.revision=5a171cc.
var (
	version  = "devel"
	revision string
)

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(p *process) error {
	b := buildInfo()
	fmt.Fprintf(p.stdout, "sidecar %s (%s, %s)\n", b.Version, b.Revision, b.GoVersion)
	return nil
}

func buildInfo() metrics.BuildInfo {
	b := metrics.BuildInfo{Version: version, Revision: cmp.Or(revision, "unknown"), GoVersion: runtime.Version()}
	// A plain `go build` has what it found itself.
	if info, ok := debug.ReadBuildInfo(); ok && revision == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}
