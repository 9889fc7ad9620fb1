// Command bench measures, side by side on real sockets, what the sidecar costs
// against a bare httputil.ReverseProxy with a tuned Transport, built from the
// same tree.
//
// What is compared is CPU time a request of the proxy's own process: it stays
// comparable on a shared machine, where requests a second and latencies do
// not. All of them run in turn, round by round, and a ratio is taken within
// each round.
//
//	go run ./internal/bench -sidecar bin/sidecar
//
// It runs from the root of the tree, whose Go benchmarks it runs as well.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"sidecar/internal/beside"
)

// The lines of a page between which there is nothing but what was measured.
const (
	markFrom = "<!-- what follows is written by make bench -->"
	markTo   = "<!-- until here -->"
)

// enough rounds are those that a page is written after. With fewer the figures
// are for a look.
const enough = 5

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "upstream" || os.Args[1] == "bare") {
		fmt.Fprintln(os.Stderr, "bench:", child(os.Args[1], os.Args[2:]))
		os.Exit(1)
	}
	binary := flag.String("sidecar", "bin/sidecar", "the sidecar to measure")
	rounds := flag.Int("rounds", enough, "how often each is measured")
	length := flag.Duration("length", 700*time.Millisecond, "how long each measurement takes")
	page := flag.String("page", "", fmt.Sprintf("a file whose tables, below the line %s, are replaced by those of this run; not with less than %d rounds", markFrom, enough))
	profiles := flag.String("profiles", "", "a folder: measure nothing, and write profiles into it; -sidecar is then a test of cmd/sidecar with the tag profile")
	flag.Parse()
	err := checkFlags(*rounds, *length)
	switch {
	case err != nil:
	case *profiles != "":
		err = profile(*binary, *profiles)
	default:
		err = bench(*binary, *rounds, *length, *page)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func checkFlags(rounds int, length time.Duration) error {
	if rounds < 1 {
		return fmt.Errorf("rounds must be 1 or more, got %d", rounds)
	}
	if length < 100*time.Millisecond {
		return fmt.Errorf("length must be 100ms or more, got %v", length)
	}
	return nil
}

func bench(binary string, rounds int, length time.Duration, page string) (err error) {
	w, err := newWorld(binary)
	if err != nil {
		return err
	}
	defer w.end()
	results, err := w.measureAll(rounds, length)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s, %d rounds of %v each, %d connections\n\n%s",
		beside.Where(binary), rounds, length, clientCount, results.tables())
	fmt.Print(text)
	if page == "" || rounds < enough {
		return nil
	}
	return beside.Keep(page, markFrom, markTo, text)
}

// measureAll measures everything, round by round, after one that warms up.
func (w *world) measureAll(rounds int, length time.Duration) (*results, error) {
	steps := []func(r *results, length time.Duration) error{w.contests, w.cold, w.benchmarks}
	began := time.Now()
	if err := w.prepare(rounds + 1); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "started, and %d tokens signed, after %v\n", len(w.tokens), time.Since(began).Round(time.Second))
	r := newResults()
	for round := range rounds + 1 {
		if round == 1 {
			r = newResults()
		}
		for _, step := range steps {
			if err := step(r, length); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d, after %v\n", round, rounds, time.Since(began).Round(time.Second))
	}
	return r, errors.Join(w.memory(r), w.wasTrue())
}
