package main

import (
	"path/filepath"
	"regexp"
	"testing"
)

func TestHowMuchMemoryTheProcessMayUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, minimal(well(t)))
	tests := []struct {
		name           string
		env            []string
		percent, limit string // as /metrics has them; empty: not looked at
	}{
		{"garbage is collected less often than Go would", nil, "400", ""},
		{"GOGC wins", []string{"GOGC=50"}, "50", ""},
		{"GOMEMLIMIT wins", []string{"GOMEMLIMIT=64MiB"}, "400", "6.7108864e+07"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, tt.env, "run", "--policy", file)
			_, text := ask(t, "GET", r.telemetry+"/metrics", "")
			for name, want := range map[string]string{"go_gc_gogc_percent": tt.percent, "go_gc_gomemlimit_bytes": tt.limit} {
				got := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
				if want != "" && (got == nil || got[1] != want) {
					t.Errorf("%s = %v, want %s", name, got, want)
				}
			}
		})
	}
}
