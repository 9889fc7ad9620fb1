package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"sidecar/internal/beside"
)

// world is what a bench has started, and ends with it.
type world struct {
	binary   string
	folder   string
	upstream string
	issuer   *issuer
	spans    *collector
	proxies  map[string]*beside.Process
	ended    []func()

	tokens []string // the first is everybody's; the others nobody has seen
	used   int      // how many of them have been sent
}

func newWorld(binary string) (*world, error) {
	folder, err := os.MkdirTemp("", "sidecar-bench-")
	if err != nil {
		return nil, err
	}
	w := &world{binary: binary, folder: folder, proxies: map[string]*beside.Process{}}
	w.later(func() { _ = os.RemoveAll(folder) })
	if err := w.around(); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// around starts what is around a proxy: the upstream, the issuer, the collector
// of spans.
func (w *world) around() error {
	up, err := beside.Start(os.Args[0], "upstream")
	if err != nil {
		return err
	}
	w.later(up.Stop)
	w.upstream = up.URL
	if w.issuer, err = newIssuer(filepath.Join(w.folder, "bench.pem")); err != nil {
		return err
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.spans = collect(socket)
	w.later(w.spans.stop)
	return nil
}

// later has end called when w ends.
func (w *world) later(end func()) { w.ended = append(w.ended, end) }

func (w *world) end() {
	for len(w.ended) > 0 {
		last := len(w.ended) - 1
		w.ended[last]()
		w.ended = w.ended[:last]
	}
}

// prepare builds the Go benchmarks, starts the proxies, and signs the tokens of
// so many rounds.
func (w *world) prepare(rounds int) (err error) {
	if err := w.build(); err != nil {
		return err
	}
	me := os.Args[0]
	start := map[string]func() (*beside.Process, error){
		bare:   func() (*beside.Process, error) { return beside.Start(me, bare, w.upstream) },
		bareGC: func() (*beside.Process, error) { return beside.Start("env", "GOGC=400", me, bare, w.upstream) },
		full:   func() (*beside.Process, error) { return w.sidecar(full, policy, asShipped) },
		fresh:  func() (*beside.Process, error) { return w.sidecar(fresh, policy, asShipped) },
		logged: func() (*beside.Process, error) {
			return w.sidecar(logged, policy, switches{"direct", "direct", "all"})
		},
		calls: func() (*beside.Process, error) {
			return w.sidecar(calls, policy, switches{"direct", "standard", "none"})
		},
		reads: func() (*beside.Process, error) {
			return w.sidecar(reads, policy, switches{"standard", "direct", "none"})
		},
		eagerGC: func() (*beside.Process, error) {
			return w.sidecar(eagerGC, policy, asShipped, "env", "GOGC=100")
		},
		empty: func() (*beside.Process, error) { return w.sidecar(empty, nothing, asShipped) },
	}
	for name, start := range start {
		p, err := start()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.later(p.Stop)
		w.proxies[name] = p
	}
	w.tokens, err = w.issuer.sign(1 + rounds*coldCount)
	w.used = 1
	return err
}

// write writes the policy in text to a file, and returns its name.
func (w *world) write(name, text string, s switches) (string, error) {
	text = strings.NewReplacer(
		"UPSTREAM", w.upstream, "COLLECTOR", w.spans.url, "READS", s.reads, "CALLS", s.calls, "ACCESS", s.access,
	).Replace(text)
	file := filepath.Join(w.folder, name+".yaml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// sidecar starts one under the policy in text, by a command before its own.
func (w *world) sidecar(name, text string, s switches, before ...string) (*beside.Process, error) {
	file, err := w.write(name, text, s)
	if err != nil {
		return nil, err
	}
	return beside.Listening(file+".log", append(before, w.binary, "run", "--policy", file)...)
}

// wasTrue returns an error if the full policy was not what it was said to be:
// without a token no request passes, some were traced, and all were logged.
func (w *world) wasTrue() error {
	var errs []error
	resp, err := http.Get(w.proxies[full].URL + getSmall.path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		errs = append(errs, fmt.Errorf("a request without a token got %d, want 401", resp.StatusCode))
	}
	if w.spans.requests.Load() == 0 {
		errs = append(errs, errors.New("no span has come"))
	}
	log, err := os.Stat(filepath.Join(w.folder, logged+".yaml.log"))
	if err != nil || log.Size() < 1<<20 {
		errs = append(errs, errors.New("the access log has next to nothing"))
	}
	return errors.Join(errs...)
}
