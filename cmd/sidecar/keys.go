package main

import (
	"maps"
	"os"
	"slices"

	"sidecar/internal/policy"
)

// warnOfKeys says which private keys others on this machine can read.
func (s *sidecar) warnOfKeys(f *policy.File) {
	places, told := f.PrivateKeys(), map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(places)) {
		place := places[key]
		info, err := os.Stat(place)
		if err == nil && exposed(info) && !told[place] {
			told[place] = true
			s.log.Logger().Warn("a private key can be read by others", "key", key, "mode", info.Mode().Perm().String())
		}
	}
}
