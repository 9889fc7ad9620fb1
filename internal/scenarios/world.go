package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sidecar/internal/beside"
)

// world is what a scenario has started, and is stopped with it.
type world struct {
	binary  string
	folder  string
	stopped []func()
}

func newWorld(binary string) (*world, error) {
	folder, err := os.MkdirTemp("", "sidecar-scenario-")
	if err != nil {
		return nil, err
	}
	w := &world{binary: binary, folder: folder}
	w.later(func() { _ = os.RemoveAll(folder) })
	return w, nil
}

// later has stop called at the end.
func (w *world) later(stop func()) { w.stopped = append(w.stopped, stop) }

func (w *world) end() {
	for len(w.stopped) > 0 {
		last := len(w.stopped) - 1
		w.stopped[last]()
		w.stopped = w.stopped[:last]
	}
}

func (w *world) service() (*service, error) {
	s, err := newService()
	if err == nil {
		w.later(s.dies)
	}
	return s, err
}

// bare starts a bare proxy; args are those of child.
func (w *world) bare(args ...string) (*beside.Process, error) {
	return w.kept(beside.Start(append([]string{os.Args[0], "bare"}, args...)...))
}

// policy is what all policies begin with: ports of the system's choice, and no
// access log.
const policy = `version: v1
server: {listen: "127.0.0.1:0", telemetry: "127.0.0.1:0", admin: "127.0.0.1:0"}
telemetry: {logs: {access: none}}
`

// sidecar starts one under policy and the rest of it; UPSTREAM stands for url.
func (w *world) sidecar(url, rest string) (*beside.Process, error) {
	file := filepath.Join(w.folder, fmt.Sprintf("%d.yaml", len(w.stopped)))
	text := policy + strings.ReplaceAll(strings.TrimSpace(rest), "UPSTREAM", url) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return w.kept(beside.Sidecar(w.binary, file))
}

func (w *world) kept(p *beside.Process, err error) (*beside.Process, error) {
	if err == nil {
		w.later(p.Stop)
	}
	return p, err
}
