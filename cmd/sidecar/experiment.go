package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"sidecar/internal/experiment"
	"sidecar/internal/policy"
)

type experimentCmd struct {
	File  string `arg:"" help:"The experiment file."`
	Check bool   `help:"Say everything that is wrong with the file, and do not run it."`
	adminFlags
}

// Run has a running sidecar do an experiment, and prints the verdict. It fails
// unless the steady state held. An interrupt aborts the experiment, and so does
// the end of the terminal; the sidecar does, soon after nobody has asked for it.
func (c experimentCmd) Run(p *process) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("experiment: %w", err)
	}
	e, err := policy.ParseExperiment(c.File, text)
	var problems policy.Problems
	if errors.As(err, &problems) {
		out := p.stderr // whoever runs an experiment reads a verdict from the other
		if c.Check {
			out = p.stdout
		}
		fmt.Fprintln(out, problems)
		return errSaid
	}
	if c.Check {
		fmt.Fprintf(p.stdout, "%s: ok\n", c.File)
		return nil
	}
	a, err := c.client()
	if err != nil {
		return fmt.Errorf("experiment: %w", err)
	}
	run := &experimentRun{process: p, admin: a}
	report, err := run.whole(e, text)
	if err != nil {
		return fmt.Errorf("experiment: %w", err)
	}
	fmt.Fprintln(p.stderr, report.String())
	if err := printJSON(p.stdout, report); err != nil {
		return err
	}
	if report.Outcome != experiment.Held {
		return errSaid
	}
	return nil
}

// experimentRun is one experiment, as seen from outside.
type experimentRun struct {
	*process
	admin *adminClient
	phase experiment.Phase // that was told last
}

// The lease is renewed several times in its length: that a request gets lost is
// no end.
const (
	experimentLease = 10 * time.Second
	experimentPoll  = time.Second
)

// whole begins the experiment, and returns its verdict.
func (r *experimentRun) whole(e *policy.Experiment, text []byte) (report experiment.Report, err error) {
	if err = r.admin.call(r.ctx, "POST", "/experiments?lease="+experimentLease.String(), text, &report); err != nil {
		return report, err
	}
	at := "/experiments/" + report.ID
	fmt.Fprintf(r.stderr, "%s: %s, about %v\n", report.Name, report.ID, e.Baseline+e.Duration+e.Recovery)
	heard := time.Now()
	for report.Phase != experiment.Ended {
		r.tell(report)
		select {
		case <-r.ctx.Done():
			return r.abort(at)
		case <-r.hangup: // whoever began it has left
			return r.abort(at)
		case <-time.After(experimentPoll):
		}
		var now experiment.Report
		err := r.admin.call(r.ctx, "PUT", at+"/lease", nil, &now)
		switch {
		case err == nil:
			report, heard = now, time.Now()
		case r.ctx.Err() != nil: // the next turn aborts
		case errors.As(err, new(*adminError)):
			return report, err
		case time.Since(heard) > experimentLease:
			return report, fmt.Errorf("the sidecar is out of reach; what is on there ends with its lease of %v: %w", experimentLease, err)
		}
	}
	return report, nil
}

// tell writes which phase it is, once.
func (r *experimentRun) tell(report experiment.Report) {
	if report.Phase != r.phase {
		r.phase = report.Phase
		fmt.Fprintf(r.stderr, "%s %s\n", time.Now().Format(time.TimeOnly), report.Phase)
	}
}

// abort ends the experiment, and returns the verdict all the same.
func (r *experimentRun) abort(at string) (report experiment.Report, err error) {
	fmt.Fprintln(r.stderr, "aborting")
	ctx, cancel := outliving(r.ctx, 5*time.Second)
	defer cancel()
	if err = r.admin.call(ctx, "DELETE", at, nil, &report); err != nil {
		return report, fmt.Errorf("not aborted; it ends with its lease of %v: %w", experimentLease, err)
	}
	return report, nil
}
