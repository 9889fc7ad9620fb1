package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sidecar/internal/beside"
)

// each is how long each load lasts under a profile.
const each = 8 * time.Second

// profile runs the full policy under each load in turn, and writes profiles of
// the sidecar to folder. binary is a test of cmd/sidecar, which runs the
// command line behind its own flags.
func profile(binary, folder string) error {
	w, err := newWorld(binary)
	if err != nil {
		return err
	}
	defer w.end()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	file, err := w.write(full, policy, asShipped)
	if err != nil {
		return err
	}
	cpu, memory := filepath.Join(folder, "cpu.pprof"), filepath.Join(folder, "allocs.pprof")
	p, err := beside.Listening(file+".log", binary, "-test.run=^TestProfiled$",
		"-test.cpuprofile="+cpu, "-test.memprofile="+memory, "run", "--policy", file)
	if err != nil {
		return err
	}
	err = w.underEach(p)
	// Only a process that ends by itself writes its profiles.
	if err := errors.Join(err, p.End()); err != nil {
		return err
	}
	fmt.Printf("\ngo tool pprof -http=: %s\ngo tool pprof -top -cum %s\ngo tool pprof -sample_index=alloc_objects -top %s\n", cpu, cpu, memory)
	return nil
}

func (w *world) underEach(p *beside.Process) error {
	tokens, err := w.issuer.sign(1)
	if err != nil {
		return err
	}
	for _, l := range []load{getSmall, post, getLarge} {
		message := l.message(tokens[0])
		cs, err := dial(p.URL, clientCount, message)
		if err != nil {
			return err
		}
		n, err := cs.send(until(each, message))
		cs.close()
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		fmt.Printf("%-10s %v, %d requests\n", l.name, each, n)
	}
	return nil
}
