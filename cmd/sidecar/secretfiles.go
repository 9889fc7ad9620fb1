package main

import (
	"log/slog"
	"maps"
	"os"
	"slices"

	"sidecar/internal/policy"
)

// warnOfSecretFiles says which secrets others on this machine can read, or
// write.
func warnOfSecretFiles(log *slog.Logger, f *policy.File) {
	places, told := f.SecretFiles(), map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(places)) {
		place := places[key]
		info, err := os.Stat(place)
		if err == nil && exposed(info) && !told[place] {
			told[place] = true
			log.Warn("a secret can be read by others", "key", key, "mode", info.Mode().Perm().String())
		}
	}
}
