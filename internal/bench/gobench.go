package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The Go benchmarks that are run: their packages, and which.
var goBenchmarks = []struct{ folder, pattern string }{
	{"internal/proxy", "^BenchmarkChain$/^(empty|full)$"},
	{"internal/validation", "^BenchmarkSchema$"},
}

// Their names as they are printed.
const (
	emptyChain = "BenchmarkChain/empty"
	fullChain  = "BenchmarkChain/full"
	schema     = "BenchmarkSchema"
)

// build builds the tests that hold them.
func (w *world) build() error {
	for _, b := range goBenchmarks {
		out, err := exec.Command("go", "test", "-c", "-o", w.testOf(b.folder), "./"+b.folder).CombinedOutput()
		if err != nil {
			return fmt.Errorf("building the benchmarks of %s: %w\n%s", b.folder, err, out)
		}
	}
	return nil
}

func (w *world) testOf(folder string) string {
	return filepath.Join(w.folder, filepath.Base(folder)+".test")
}

// runs is how often a round runs the Go benchmarks of a package.
const runs = 12

// benchmarks runs each some times, of which the fastest counts: they tell how
// much time has gone by, and what else the machine did meanwhile only adds to
// that. Those of one package take turns, since one is told less another.
func (w *world) benchmarks(r *results, _ time.Duration) error {
	for _, b := range goBenchmarks {
		var said strings.Builder
		for range runs {
			cmd := exec.Command(w.testOf(b.folder), "-test.run=^$", "-test.bench="+b.pattern, "-test.benchmem", "-test.benchtime=25ms")
			cmd.Dir = b.folder
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("the benchmarks of %s: %w\n%s", b.folder, err, out)
			}
			said.Write(out)
		}
		for name, one := range parseBenchmarks(said.String()) {
			r.benchmarks[name] = append(r.benchmarks[name], one)
		}
	}
	for _, name := range []string{emptyChain, fullChain, schema} {
		if len(r.benchmarks[name]) == 0 {
			return fmt.Errorf("%s was not run", name)
		}
	}
	return nil
}

// benchmark is what one run of a Go benchmark cost.
type benchmark struct {
	micros, allocations float64
}

// The number of processors stands behind the name, and further units may stand
// between the time and the allocations.
var benchmarkLine = regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\b.*?\s(\d+) allocs/op`)

// parseBenchmarks returns what go test -bench -benchmem has printed, by name; of
// several runs the fastest.
func parseBenchmarks(out string) map[string]benchmark {
	all := map[string]benchmark{}
	for _, m := range benchmarkLine.FindAllStringSubmatch(out, -1) {
		nanos, _ := strconv.ParseFloat(m[2], 64)
		allocations, _ := strconv.ParseFloat(m[3], 64)
		if one := (benchmark{nanos / 1000, allocations}); all[m[1]].micros == 0 || one.micros < all[m[1]].micros {
			all[m[1]] = one
		}
	}
	return all
}
