package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A sidecar that has run leaves nothing running.
func TestRunLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, strings.Replace(minimal("http://127.0.0.1:1"), "drainDelay: 300ms", "drainDelay: 0s", 1)+
		"policies: {rateLimit: {each: {rate: 1/s, key: [ip]}}}\ndefaults: {use: {rateLimit: each}}\n")
	ctx, stop := context.WithCancel(context.Background())
	hangup := make(chan os.Signal, 1)
	var out, log syncBuffer
	p := &process{ctx: ctx, hangup: hangup, stdout: &out, stderr: &log}
	code := make(chan int, 1)
	go func() { code <- p.main([]string{"run", "--policy", file}) }()
	for _, said := range []string{"listening", "policy reloaded"} {
		eventually(t, said, func() bool { return strings.Contains(log.String(), said) })
		hangup <- os.Interrupt // any signal on this channel is a reload
	}
	stop()
	select {
	case got := <-code:
		if got != 0 {
			t.Errorf("exit code %d, want 0; the log:\n%s", got, log.String())
		}
	case <-time.After(patience):
		t.Fatalf("it does not end; the log:\n%s", log.String())
	}
	if !strings.Contains(log.String(), `"msg":"stopped"`) || out.String() != "" {
		t.Errorf("output %q, log %s, want nothing and the end told", out.String(), log.String())
	}
}

// eventually waits until holds does; what it is that is waited for.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("it does not come: %s", what)
		}
	}
}
