package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"sidecar/internal/admin"
	"sidecar/internal/audit"
	"sidecar/internal/downstream"
	"sidecar/internal/exchange"
	"sidecar/internal/experiment"
	"sidecar/internal/faults"
	"sidecar/internal/logging"
	"sidecar/internal/metrics"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
	"sidecar/internal/tracing"
)

type runCmd struct {
	Policy   string `xor:"source" required:"" help:"The policy file." placeholder:"FILE"`
	Upstream string `xor:"source" required:"" help:"Where the service listens: no file, the defaults." placeholder:"URL"`
}

// Run serves until the process is told to end.
func (c runCmd) Run(p *process) error {
	return serve(p, func(o policy.Options) (*policy.File, error) {
		if c.Policy == "" {
			return policy.ForUpstream(c.Upstream)
		}
		return policy.Load(c.Policy, o)
	}, func(*sidecar) {})
}

// serve runs a sidecar with the policy that load returns, and drains it when
// the process is told to end. It calls started once every listener serves.
func serve(p *process, load func(policy.Options) (*policy.File, error), started func(*sidecar)) error {
	s, err := newSidecar(load, p.stderr)
	var problems policy.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(p.stderr, problems)
		return errSaid
	}
	if err != nil {
		return err
	}
	s.log.Start()
	defer s.lastLines()
	tuneMemory(s.log.Logger())
	defer leaveQuiet()()
	// net/http's Transport has no log of its own.
	stdlog.SetFlags(0)
	stdlog.SetOutput(s.log.ErrorLog().Writer())
	if err := s.start(); err != nil {
		s.stop()
		return err
	}
	defer s.watch(p.ctx)()
	go s.faults.Run(p.ctx)
	started(s)
	for {
		select {
		case <-p.hangup:
			s.audit.Reopen()                              // first, so that the reload stands in the new file
			_, _ = s.reload(exchange.Who{Name: "SIGHUP"}) // it has logged how it went
		case err := <-s.failed:
			s.stop()
			return err
		case <-p.ctx.Done():
			s.drain()
			return nil
		}
	}
}

// sidecar is the wiring: the one place that knows every room.
type sidecar struct {
	*reloader

	faults      *faults.Switch
	experiments *experiment.Experiments
	decisions   *admin.Decisions
	data        *listener
	telemetry   *listener
	admin       *listener
	failed      chan error
	cut         context.CancelCauseFunc // ends every exchange
}

func newSidecar(load func(policy.Options) (*policy.File, error), stderr io.Writer) (*sidecar, error) {
	watcher := policy.NewWatcher()
	f, err := watcher.Load(load)
	if err != nil {
		return nil, err
	}
	s := &sidecar{
		reloader: &reloader{started: f, load: load, watcher: watcher},
		failed:   make(chan error, 3),
	}
	if err := s.observe(f.Telemetry, logging.New(stderr, f.RedactedLogs())); err != nil {
		return nil, err
	}
	s.faults, s.experiments = faults.NewSwitch(s.observers.Event), experiment.New(s.observers.Event)
	s.observers = append(s.observers, s.faults, s.experiments)
	s.proxy = proxy.New(proxy.Options{Observers: s.observers, Faults: s.faults, ErrorLog: s.log.ErrorLog()})
	s.health = admin.NewHealth(s.proxy, s.audit.Doubts)
	if err := s.apply(f, exchange.Who{Name: "start"}); err != nil {
		s.deliver()
		return nil, err
	}
	s.metrics.Reloaded(true)
	s.log.Logger().Info("policy applied", "file", f.Name(), "hash", f.Hash(), "routes", len(f.Routes))
	s.metrics.Levels(s.levels)
	s.listeners()
	return s, nil
}

// observe makes what hears of every exchange.
func (s *sidecar) observe(t policy.Telemetry, log *logging.Log) (err error) {
	s.log, s.metrics, s.decisions = log, metrics.New(buildInfo()), &admin.Decisions{}
	s.tracing, err = tracing.New(context.Background(), t.Tracing, buildInfo().Version, log.Logger())
	if err != nil {
		return fmt.Errorf("telemetry.tracing: %w", err)
	}
	s.audit, err = audit.New(t.Audit, log.Logger())
	if err != nil {
		_ = s.tracing.Shutdown(context.Background()) // it has nothing yet
		return fmt.Errorf("telemetry.audit.file: %w", err)
	}
	if s.audit != nil { // first: what is not audited is not made, and not told
		s.observers = append(s.observers, s.audit)
	}
	s.observers = append(s.observers, s.metrics, s.log, s.decisions)
	if s.tracing != nil {
		s.observers = append(s.observers, s.tracing)
	}
	return nil
}

// listeners makes the three ports: traffic, telemetry, admin.
func (s *sidecar) listeners() {
	var base context.Context
	base, s.cut = context.WithCancelCause(context.Background())
	server := s.started.Server
	limits := server.Limits
	s.data = &listener{server: &http.Server{
		Handler:           s.proxy,
		ReadHeaderTimeout: limits.ReadHeaderTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    int(limits.MaxHeaderBytes),
		Protocols:         protocols(server.Protocols, server.TLS != nil),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: limits.MaxConcurrentStreams},
		// What is asked of the whole server, OPTIONS *, is refused like the
		// rest that is never forwarded, with a reason.
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ErrorLog:                     s.log.ErrorLog(),
	}}
	s.data.maxConnections, s.data.maxPerAddress = limits.MaxConnections, limits.MaxConnectionsPerAddress
	if server.Transport == downstream.Direct && server.TLS == nil && s.data.server.Protocols.HTTP1() {
		s.data.direct = downstream.New(s.data.server)
	}
	s.telemetry = s.quiet(admin.Telemetry(s.health, s.metrics.Handler()))
	a := &admin.Admin{
		Proxy: s.proxy, Faults: s.faults, Reload: s.reload, Decisions: s.decisions, Listen: server.Admin,
		Tell: s.observers.Event, Experiments: s.experiments, StartExperiment: s.experiment,
	}
	s.admin = s.quiet(a.Handler())
	ports := map[string]*listener{"data": s.data, "telemetry": s.telemetry, "admin": s.admin}
	for _, at := range server.Listeners() {
		l := ports[at.Name]
		l.name, l.address = at.Name, at.Address
		if at.TLS != nil {
			l.secure(func() *tls.Config { return s.proxy.Snapshot().TLS(l.name) })
		}
	}
}

// quiet returns a port that carries no traffic. Nobody may hold it alone, or a
// stranger who keeps connections would have the kubelet's probes wait, and the
// process restarted. Who asks now and then opens another one.
func (s *sidecar) quiet(h http.Handler) *listener {
	return &listener{maxConnections: 100, maxPerAddress: 20, server: &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 5 * time.Second, ErrorLog: s.log.ErrorLog(),
		Protocols: protocols([]string{exchange.HTTP1, exchange.H2C}, true), // HTTP/2 if there is TLS
	}}
}

// start opens every port, and serves on it.
func (s *sidecar) start() error {
	for _, l := range []*listener{s.telemetry, s.admin, s.data} {
		if err := l.open(); err != nil {
			return fmt.Errorf("server: %s: %w", l.name, err)
		}
	}
	for _, l := range []*listener{s.telemetry, s.admin, s.data} {
		go l.serve(func(err error) {
			s.health.Broken(fmt.Sprintf("the %s listener has stopped: %v", l.name, err))
			s.failed <- fmt.Errorf("server: %s: %w", l.name, err)
		})
		s.log.Logger().Info("listening", "listener", l.name, "address", l.addr(), "tls", l.tls)
	}
	s.health.Started()
	return nil
}

// settle is how long a connection that was just accepted has to send its
// request. http.Server.Shutdown closes one whose head it reads later without a
// word.
const settle = 100 * time.Millisecond

// drain ends the sidecar without failing a request: others learn that it goes,
// what is in flight gets its time, and only then is it cut.
func (s *sidecar) drain() {
	s.experiments.Close() // what is in flight ends without faults
	log, shutdown := s.log.Logger(), s.proxy.Snapshot().File().Server.Shutdown
	log.Info("draining", "delay", shutdown.DrainDelay.String(), "timeout", shutdown.Timeout.String())
	s.health.Draining()
	s.proxy.Drain()
	time.Sleep(shutdown.DrainDelay)
	s.data.stopAccepting()
	time.Sleep(settle)

	ctx, cancel := context.WithTimeout(context.Background(), shutdown.Timeout)
	defer cancel()
	err := s.data.shutdown(ctx)
	if err == nil {
		err = s.proxy.Wait(ctx)
	}
	if err != nil {
		log.Warn("cutting what is still in flight", "exchanges", s.proxy.InFlight())
		s.cut(&exchange.Refusal{Kind: exchange.ByProxy, Reason: exchange.Draining})
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.proxy.Wait(last) // what does not end by itself ends with its connection
	}
	s.stop()
	log.Info("stopped")
}

// stop closes every port at once.
func (s *sidecar) stop() {
	for _, l := range []*listener{s.data, s.admin, s.telemetry} {
		l.close()
	}
	s.cut(nil)
	s.experiments.Close()
	s.proxy.Close()
	s.deliver()
}

// lastLines writes what the log has still to say, if anybody takes it.
func (s *sidecar) lastLines() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.log.Close(ctx)
}

// deliver sends the last spans and writes the last audit lines. A collector
// that is away, or a disk that hangs, does not hold up the end of the process
// for long.
func (s *sidecar) deliver() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := s.audit.Close(ctx); err != nil {
		s.log.Logger().Error("audit lines not written", "error", err.Error(), "lost", s.audit.Dropped())
	}
	err := s.tracing.Shutdown(ctx)
	if lost, ok := errors.AsType[*tracing.Undelivered](err); ok {
		s.log.Logger().Warn("spans not delivered", "spans", lost.Spans, "error", lost.Err.Error())
	} else if err != nil {
		s.log.Logger().Warn("the exporter of spans has not ended well", "error", err.Error())
	}
}
