package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"sidecar/internal/metrics"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "devel"

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(p *process) error {
	b := buildInfo()
	fmt.Fprintf(p.stdout, "sidecar %s (%s, %s)\n", b.Version, b.Revision, b.GoVersion)
	return nil
}

func buildInfo() metrics.BuildInfo {
	b := metrics.BuildInfo{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}
