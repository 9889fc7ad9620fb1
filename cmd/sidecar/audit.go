package main

import (
	"errors"
	"fmt"
	"os"

	"sidecar/internal/audit"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Say whether the lines of the audit file are as they were written; rotated files go in order, the oldest first."`
}

type auditVerifyCmd struct {
	Files      []string `arg:"" name:"file" help:"The audit file, or several that follow one another, the first with line 1."`
	FromMiddle bool     `help:"Let the first file begin with another line than the very first. Those before it are not vouched for."`
}

// Run prints what the files hold, and fails at the first line that is not as
// it was written.
func (c auditVerifyCmd) Run(p *process) error {
	chain := audit.Chain{FromMiddle: c.FromMiddle}
	err := c.read(&chain)
	if err == nil {
		err = chain.End()
	}
	if broken, ok := errors.AsType[*audit.Broken](err); ok {
		fmt.Fprintln(p.stdout, broken)
		return errSaid
	}
	if err != nil {
		return err
	}
	for _, at := range chain.Torn {
		fmt.Fprintf(p.stdout, "%v: torn: a crash or a full disk; the line after it says so\n", at)
	}
	if chain.Rest != nil {
		fmt.Fprintf(p.stdout, "%v: torn: the last line has no end, since the process crashed or is writing it\n", chain.Rest)
	}
	if chain.Lines == 0 {
		fmt.Fprintln(p.stdout, "ok, no lines")
		return nil
	}
	if chain.First > 1 {
		fmt.Fprintf(p.stdout, "begins with line %d: nothing vouches for those before it\n", chain.First)
	}
	fmt.Fprintf(p.stdout, "ok, %d lines, %d to %d, the last hash %s\n", chain.Lines, chain.First, chain.Last, chain.Hash)
	return nil
}

func (c auditVerifyCmd) read(chain *audit.Chain) error {
	for _, name := range c.Files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = chain.Verify(name, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
