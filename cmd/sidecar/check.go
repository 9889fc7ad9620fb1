package main

import (
	"errors"
	"fmt"
	"io"

	"sidecar/internal/policy"
	"sidecar/internal/proxy"
)

type checkCmd struct {
	File    string `arg:"" help:"The policy file."`
	Verbose bool   `short:"v" help:"Print each route's chain with the policies it ends up with."`
	Offline bool   `help:"Do not read the files and variables that the policy names."`
}

// Run prints what is wrong, and fails if anything is.
func (c checkCmd) Run(p *process) error {
	f, err := policy.Load(c.File, policy.Options{Offline: c.Offline})
	var s *proxy.Snapshot
	if err == nil {
		s, err = proxy.New(proxy.Options{}).Check(f)
	}
	var problems policy.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(p.stdout, problems)
		return errSaid
	}
	if err != nil {
		return err
	}
	for _, w := range append(f.Warnings(), s.Warnings()...) {
		fmt.Fprintln(p.stdout, w)
	}
	if c.Verbose {
		fmt.Fprintf(p.stdout, "server: %s\n", f.Inline(f.Server))
		for _, r := range f.Routes {
			printRoute(p.stdout, f, s, r)
		}
	}
	routes := "routes"
	if len(f.Routes) == 1 {
		routes = "route"
	}
	fmt.Fprintf(p.stdout, "%s: ok, %d %s\n", c.File, len(f.Routes), routes)
	return nil
}

// printRoute writes a route and its chain, with what each policy says in the
// end, defaults included.
func printRoute(w io.Writer, f *policy.File, s *proxy.Snapshot, r *policy.Route) {
	e := f.Effective(r)
	longest := ""
	if e.MaxDuration > 0 {
		longest = fmt.Sprintf(", maxDuration %v", e.MaxDuration)
	}
	fmt.Fprintf(w, "route %s (line %d): %s -> %s, timeout %v, streamIdleTimeout %v%s, upgrade %v\n",
		r.Name, r.Line, f.Inline(r.Match), r.Upstream, e.Timeout, e.StreamIdleTimeout, longest, r.Upgrade)
	printStages(w, f, s.Chain(r.Name))
	if stages := s.Fallback(r.Name); stages != nil {
		fmt.Fprintln(w, "  fallback:")
		printStages(w, f, stages)
	}
}

func printStages(w io.Writer, f *policy.File, stages []proxy.Stage) {
	for _, stage := range stages {
		where := "built in"
		if stage.Line > 0 {
			where = fmt.Sprintf("line %d", stage.Line)
		}
		if stage.Config == nil {
			fmt.Fprintf(w, "  %s\n", stage)
			continue
		}
		fmt.Fprintf(w, "  %s (%s): %s\n", stage, where, f.Inline(stage.Config))
	}
}
