// Command scenarios shows what becomes of a service's clients when the service
// is slow, sick, half dead or drowning: behind the sidecar, and behind a bare
// httputil.ReverseProxy that has the same load in the same run.
//
// Each scenario prints a table, and the promises that it has kept. One that is
// not kept fails the run; times, of which the machine has its part, are told
// and fail nothing.
//
//	go run ./internal/scenarios -sidecar bin/sidecar
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"sidecar/internal/beside"
)

// scenario is one thing that goes wrong. It returns errSkip where what it needs
// is not installed.
type scenario struct {
	name, title string
	run         func(w *world, r *report) error
}

var errSkip = errors.New("skipped")

func scenarios() []scenario {
	return []scenario{
		{"failing", "Half of the calls fail", halfFails},
		{"hanging", "The upstream hangs", hangs},
		{"overload", "Three times what the upstream can do", overloaded},
		{"endpoints", "One of three endpoints is slow, then dead", oneOfThree},
		{"redis", "Redis is killed, and comes back", redisGoes},
		{"recovery", "The upstream is well again", recovers},
		{"storm", "A storm of retries", storms},
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		fmt.Fprintln(os.Stderr, "scenarios:", child(os.Args[2:]))
		os.Exit(1)
	}
	binary := flag.String("sidecar", "bin/sidecar", "the sidecar")
	only := flag.String("only", "", "names of scenarios, with commas: "+names())
	page := flag.String("page", "", "a file whose tables, below the line "+mark+", are replaced by those of this run")
	flag.Parse()
	text, err := all(*binary, *only)
	if *page != "" && *only == "" && text != "" {
		err = errors.Join(err, beside.Keep(*page, mark, "", text))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		os.Exit(1)
	}
}

// mark is the line of a page below which there is nothing but tables.
const mark = "<!-- what follows is written by make scenarios -->"

func names() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return strings.Join(names, ",")
}

// all runs scenarios, and returns what they say. Its error names the promises
// that were not kept.
func all(binary, only string) (string, error) {
	var text strings.Builder
	out := io.MultiWriter(os.Stdout, &text)
	fmt.Fprintln(out, beside.Where(binary))
	var broken []string
	for _, s := range scenarios() {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		began := time.Now()
		r := &report{}
		w, err := newWorld(binary)
		if err == nil {
			err = s.run(w, r)
			w.end()
		}
		if err != nil && !errors.Is(err, errSkip) {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		if err != nil {
			r.say("%s", err.Error())
		}
		fmt.Fprintf(out, "\n## %s\n\n%s", s.title, r.text.String())
		fmt.Fprintf(os.Stderr, "%s took %v\n", s.name, time.Since(began).Round(time.Second))
		for _, promise := range r.broken {
			broken = append(broken, s.name+": "+promise)
		}
	}
	if len(broken) > 0 {
		return text.String(), fmt.Errorf("not kept:\n%s", strings.Join(broken, "\n"))
	}
	return text.String(), nil
}
