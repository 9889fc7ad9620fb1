package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"sidecar/internal/admin"
	"sidecar/internal/audit"
	"sidecar/internal/exchange"
	"sidecar/internal/logging"
	"sidecar/internal/metrics"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
	"sidecar/internal/tracing"
)

// reloader makes a policy file the one that holds, and tells everybody whom
// that concerns.
type reloader struct {
	started   *policy.File // whose ports and the like are served
	load      func(policy.Options) (*policy.File, error)
	watcher   *policy.Watcher
	proxy     *proxy.Proxy
	observers exchange.Observers
	log       *logging.Log
	metrics   *metrics.Metrics
	tracing   *tracing.Tracing // nil: off
	audit     *audit.Audit     // nil: off
	health    *admin.Health

	mu sync.Mutex // one reload at a time
}

// watch reloads when a file of the policy changes, until ctx ends or the
// function that it returns is called, which waits for a reload to end.
func (r *reloader) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		r.watcher.Run(ctx,
			func() { _, _ = r.reload(exchange.Who{Name: "watch"}) }, // it has logged how it went
			func(err error) { r.log.Logger().Warn("the policy is not watched as it could be", "error", err.Error()) })
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// reload reads the policy again and applies it. A bad file changes nothing.
func (r *reloader) reload(who exchange.Who) (admin.Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.proxy.Snapshot()
	f, err := r.watcher.Load(r.load)
	if err == nil {
		err = r.apply(f, who)
	}
	r.health.Reloaded(err)
	r.metrics.Reloaded(err == nil)
	if err != nil {
		r.refused(who, err)
		return admin.Change{}, err
	}
	change := admin.Change{ // nothing is [], not null
		Changed: append([]string{}, policy.Diff(r.started, before.File(), f)...),
		Reset:   append([]string{}, before.Reset(r.proxy.Snapshot())...),
	}
	r.logger(who).Info("policy reloaded", "file", f.Name(), "hash", f.Hash(),
		"changed", change.Changed, "reset", change.Reset)
	return change, nil
}

// apply makes f the policy, as who asks, and tells what lives longer than it.
func (r *reloader) apply(f *policy.File, who exchange.Who) error {
	if err := r.proxy.ApplyFor(f, who); err != nil {
		return err
	}
	r.audit.Apply(f.Hash())
	r.log.Apply(f.RedactedLogs())
	r.tracing.Apply(f.Telemetry.Tracing)
	r.metrics.Routes(r.proxy.Snapshot().Routes())
	for _, w := range append(f.Warnings(), r.proxy.Snapshot().Warnings()...) {
		r.log.Logger().Warn(w.String())
	}
	warnOfSecretFiles(r.log.Logger(), f)
	return nil
}

func (r *reloader) refused(who exchange.Who, err error) {
	_ = r.observers.Event(exchange.Event{
		Kind: exchange.Reload, Name: r.started.Name(), Who: who, Detail: err.Error(), Bad: true,
	})
	var problems policy.Problems
	if !errors.As(err, &problems) {
		r.logger(who).Error("policy not reloaded: the one before holds", "error", err.Error())
		return
	}
	r.logger(who).Error("policy not reloaded: the one before holds", "problems", problems.Lines())
}

// logger returns a log whose lines tell who asks, and by which request.
func (r *reloader) logger(who exchange.Who) *slog.Logger {
	log := r.log.Logger().With("who", who.String())
	if who.RequestID != "" {
		log = log.With("request_id", who.RequestID)
	}
	return log
}
