package main

import (
	"fmt"
	"slices"
)

// results are what was measured, one figure a round.
type results struct {
	rounds     int
	cpu        map[run]figures // microseconds of CPU time a request
	cold       figures         // what a new token adds to that
	benchmarks map[string][]benchmark
	memory     map[string]figures // MiB, by proxy; one for each of connections
}

func newResults() *results {
	return &results{cpu: map[run]figures{}, benchmarks: map[string][]benchmark{}, memory: map[string]figures{}}
}

// figures are those of one thing, in the order of the rounds.
type figures []float64

func (f figures) median() float64 {
	sorted := slices.Sorted(slices.Values(f))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// text returns the median, and behind it from where to where the figures go.
func (f figures) text(decimals int) string {
	return fmt.Sprintf("%.*f [%.*f to %.*f]", decimals, f.median(), decimals, slices.Min(f), decimals, slices.Max(f))
}

// with returns what of says of each pair of the same round.
func (f figures) with(g figures, of func(a, b float64) float64) figures {
	var all figures
	for i := range f {
		all = append(all, of(f[i], g[i]))
	}
	return all
}

func ratio(a, b float64) float64      { return a / b }
func difference(a, b float64) float64 { return a - b }

// of returns what one says of every benchmark in all.
func of(all []benchmark, one func(benchmark) float64) figures {
	var f figures
	for _, b := range all {
		f = append(f, one(b))
	}
	return f
}

func took(b benchmark) float64        { return b.micros }
func allocations(b benchmark) float64 { return b.allocations }
