package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"sidecar/internal/admin"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/logging"
	"sidecar/internal/metrics"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
)

type runCmd struct {
	Policy   string `xor:"source" required:"" help:"The policy file." placeholder:"FILE"`
	Upstream string `xor:"source" required:"" help:"Where the service listens: no file, the defaults." placeholder:"URL"`
}

// Run serves until the process is told to end.
func (c runCmd) Run(p *process) error {
	return serve(p, func() (*policy.File, error) {
		if c.Policy == "" {
			return policy.ForUpstream(c.Upstream)
		}
		return policy.Load(c.Policy, policy.Options{})
	}, func(*sidecar) {})
}

// serve runs a sidecar with the policy that load returns, and drains it when
// the process is told to end. It calls started once every listener serves.
func serve(p *process, load func() (*policy.File, error), started func(*sidecar)) error {
	s, err := newSidecar(load, p.stderr)
	var problems policy.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(p.stderr, problems)
		return errSaid
	}
	if err != nil {
		return err
	}
	if err := s.start(); err != nil {
		s.stop()
		return err
	}
	started(s)
	for {
		select {
		case <-p.hangup:
			_, _ = s.reload("SIGHUP") // it has logged how it went
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

	server    policy.Server // read once
	faults    *faults.Switch
	data      *listener
	telemetry *listener
	admin     *listener
	failed    chan error
	cut       context.CancelCauseFunc // ends every exchange
}

func newSidecar(load func() (*policy.File, error), stderr io.Writer) (*sidecar, error) {
	f, err := load()
	if err != nil {
		return nil, err
	}
	log := logging.New(stderr, f.Telemetry.Logs)
	m := metrics.New(buildInfo())
	observers := exchange.Observers{m, log}
	sw := faults.NewSwitch(observers.Event)
	px := proxy.New(proxy.Options{Observers: observers, Faults: sw, ErrorLog: log.ErrorLog()})
	s := &sidecar{
		reloader: &reloader{load: load, proxy: px, log: log, metrics: m, health: admin.NewHealth(px)},
		server:   f.Server, faults: sw, failed: make(chan error, 3),
	}
	if err := s.apply(f); err != nil {
		return nil, err
	}
	m.Reloaded(true)
	m.Levels(s.levels)
	s.listeners()
	return s, nil
}

// listeners makes the three ports: traffic, telemetry, admin.
func (s *sidecar) listeners() {
	var base context.Context
	base, s.cut = context.WithCancelCause(context.Background())
	limits := s.server.Limits
	s.data = &listener{name: "data", address: s.server.Listen, maxConnections: limits.MaxConnections, server: &http.Server{
		Handler:           s.proxy,
		ReadHeaderTimeout: limits.ReadHeaderTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    int(limits.MaxHeaderBytes),
		Protocols:         protocols(s.server.Protocols),
		// What is asked of the whole server, OPTIONS *, is refused like the
		// rest that is never forwarded, with a reason.
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ErrorLog:                     s.log.ErrorLog(),
	}}
	s.telemetry = &listener{
		name: "telemetry", address: s.server.Telemetry, maxConnections: 100,
		server: s.quiet(admin.Telemetry(s.health, s.metrics.Handler())),
	}
	a := &admin.Admin{Proxy: s.proxy, Faults: s.faults, Reload: s.reload, Listen: s.server.Admin}
	s.admin = &listener{name: "admin", address: s.server.Admin, maxConnections: 100, server: s.quiet(a.Handler())}
}

// quiet returns a server for a port that carries no traffic.
func (s *sidecar) quiet(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, ErrorLog: s.log.ErrorLog(),
	}
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
		s.log.Logger().Info("listening", "listener", l.name, "address", l.addr())
	}
	s.health.Started()
	return nil
}

// drain ends the sidecar without failing a request: others learn that it goes,
// what is in flight gets its time, and only then is it cut.
func (s *sidecar) drain() {
	log, limits := s.log.Logger(), s.proxy.Snapshot().File().Server.Shutdown
	log.Info("draining", "delay", limits.DrainDelay.String(), "timeout", limits.Timeout.String())
	s.health.Draining()
	s.proxy.Drain()
	time.Sleep(limits.DrainDelay)

	ctx, cancel := context.WithTimeout(context.Background(), limits.Timeout)
	defer cancel()
	err := s.data.server.Shutdown(ctx)
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
	s.proxy.Close()
}

// levels reads what metrics tell of the present.
func (s *sidecar) levels() metrics.Levels {
	var l metrics.Levels
	snapshot := s.proxy.Snapshot()
	for _, b := range snapshot.Breakers() {
		st := b.Status()
		l.Breakers = append(l.Breakers, metrics.BreakerLevel{Name: st.Name, State: st.State})
	}
	for name, b := range snapshot.Budgets() {
		l.Budgets = append(l.Budgets, metrics.BudgetLevel{Upstream: name, Remaining: float64(b.Status().Remaining)})
	}
	for _, f := range s.faults.List() {
		l.Faults = append(l.Faults, metrics.FaultLevel{Name: f.Name, Active: f.Active})
	}
	return l
}

func protocols(names []string) *http.Protocols {
	var p http.Protocols
	for _, name := range names {
		switch name {
		case policy.HTTP1:
			p.SetHTTP1(true)
		case policy.H2C:
			p.SetUnencryptedHTTP2(true)
		}
	}
	return &p
}

// listener is one port.
type listener struct {
	name           string
	address        string
	maxConnections int
	server         *http.Server
	socket         net.Listener
}

func (l *listener) open() (err error) {
	l.socket, err = net.Listen("tcp", l.address)
	return err
}

func (l *listener) addr() string { return l.socket.Addr().String() }

// serve serves until it is closed; failed hears of any other end.
func (l *listener) serve(failed func(error)) {
	err := l.server.Serve(netutil.LimitListener(l.socket, l.maxConnections))
	if !errors.Is(err, http.ErrServerClosed) {
		failed(err)
	}
}

func (l *listener) close() {
	_ = l.server.Close()
	if l.socket != nil {
		_ = l.socket.Close() // also one that was never served
	}
}
