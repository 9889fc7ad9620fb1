package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidecar/internal/experiment"
)

// drillable is a policy whose retries absorb nearly every fault.
func drillable(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer("{app: {", "{app: {retryBudget: {percent: 1000, minPerSecond: 1000}, ", "routes: [{name: all, upstream: app}]", `
policies:
  retry: {patient: {maxAttempts: 10, backoff: {base: 1ms, max: 1ms}}}
  fault: {chaos: {abort: {status: 503}}}
routes: [{name: all, upstream: app, use: {retry: patient, circuitBreaker: none, fault: chaos}}]`).Replace(minimal(well(t)))
}

// trickle sends a request every few milliseconds until the test ends.
func trickle(t *testing.T, url string) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if resp, err := http.Get(url); err == nil {
				resp.Body.Close()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// inquiry is the command `sidecar experiment` under way.
type inquiry struct {
	*exec.Cmd
	out, log bytes.Buffer
}

// inquire begins an experiment with r, with a fault for so long.
func inquire(t *testing.T, r *running, duration string) *inquiry {
	t.Helper()
	trickle(t, r.data)
	file := filepath.Join(t.TempDir(), "drill.yaml")
	write(t, file, "name: drill\nfault: {name: chaos, percent: 30}\nsteadyState: {errorPercent: 1, minRequests: 20}\n"+
		"baseline: 1s\nrecovery: 1s\nduration: "+duration+"\n")
	x := &inquiry{Cmd: bounded(t, os.Args[0], "experiment", "--admin", r.admin, file)}
	x.Env = append(os.Environ(), asSidecar+"=1")
	x.Stdout, x.Stderr = &x.out, &x.log
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	return x
}

// end waits for the command, and returns its exit code and the verdict.
func (x *inquiry) end(t *testing.T) (code int, verdict experiment.Report) {
	t.Helper()
	_ = x.Wait()
	if x.out.Len() > 0 {
		if err := json.Unmarshal(x.out.Bytes(), &verdict); err != nil {
			t.Errorf("the output is no verdict: %v: %s", err, x.out.String())
		}
	}
	return x.ProcessState.ExitCode(), verdict
}

// breaks waits until the fault is on, or off.
func (r *running) breaks(on bool) {
	r.t.Helper()
	want := map[bool]string{true: `"active": true`, false: `"active": false`}[on]
	eventually(r.t, want, func() bool {
		_, body := call(r.t, "GET", r.admin+"/faults/chaos", "")
		return strings.Contains(body, want)
	})
}

func TestAnExperimentThatHolds(t *testing.T) {
	r := run(t, drillable(t))
	x := inquire(t, r, "2s")
	code, v := x.end(t)
	if code != 0 || v.Outcome != experiment.Held {
		t.Fatalf("exit code %d, %s: %s, want 0 and held; it says:\n%s", code, v.Outcome, v.Why, x.log.String())
	}
	if v.Met == 0 || v.Absorbed != v.Met || v.Surfaced != 0 || v.Injected < uint64(v.Met) {
		t.Errorf("injected %d, met %d, absorbed %d, surfaced %d, want all of those that met it absorbed", v.Injected, v.Met, v.Absorbed, v.Surfaced)
	}
	if v.Before.Requests < 20 || v.During.Requests != v.Met+v.Bystanders.Requests || v.After.Requests == 0 {
		t.Errorf("requests before %d, during %d (%d met the fault, %d not), after %d, which does not add up",
			v.Before.Requests, v.During.Requests, v.Met, v.Bystanders.Requests, v.After.Requests)
	}
	_, metrics := call(t, "GET", r.telemetry+"/metrics", "")
	for _, want := range []string{`sidecar_experiments_total{outcome="held"} 1`, "sidecar_experiments_running 0"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
}

// However it ends, the fault is off then.
func TestAnExperimentThatIsEnded(t *testing.T) {
	tests := []struct {
		name string
		end  func(*running, *inquiry)
		why  string
	}{
		{"by an interrupt of the command", func(_ *running, x *inquiry) { _ = x.Process.Signal(syscall.SIGINT) }, "aborted by 127.0.0.1"},
		{"by the end of its terminal", func(_ *running, x *inquiry) { _ = x.Process.Signal(syscall.SIGHUP) }, "aborted by 127.0.0.1"},
		{"by a reload that changes the fault", func(r *running, _ *inquiry) {
			write(t, r.policy, strings.Replace(policyOf(t, r), "{chaos: {", "{chaos: {mode: shadow, ", 1))
		}, "by a reload"},
		{"by a reload that drops the fault", func(r *running, _ *inquiry) {
			write(t, r.policy, strings.NewReplacer("fault: {chaos: {abort: {status: 503}}}", "", ", fault: chaos", "").Replace(policyOf(t, r)))
		}, "by a reload"},
		{"by somebody else", func(r *running, _ *inquiry) {
			call(t, "DELETE", r.admin+"/faults/chaos", "")
		}, "switched off or changed by somebody else"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, drillable(t))
			x := inquire(t, r, "1m")
			r.breaks(true)
			tt.end(r, x)
			code, v := x.end(t)
			if code != 1 || v.Outcome != experiment.Aborted || !strings.Contains(v.Why, tt.why) {
				t.Errorf("exit code %d, %s: %s, want 1 and aborted: %s; it says:\n%s", code, v.Outcome, v.Why, tt.why, x.log.String())
			}
			if _, body := call(t, "GET", r.admin+"/faults/chaos", ""); strings.Contains(body, `"active": true`) {
				t.Errorf("the fault is still on: %s", body)
			}
		})
	}
}

func policyOf(t *testing.T, r *running) string {
	t.Helper()
	text, err := os.ReadFile(r.policy)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnExperimentEndsBeforeTheSidecarDrains(t *testing.T) {
	r := run(t, drillable(t))
	x := inquire(t, r, "1m")
	r.breaks(true)
	r.signal(syscall.SIGTERM)
	if line := r.line("experiment"); line["to"] != "baseline" {
		t.Errorf("the log tells %v, want the beginning", line)
	}
	if line := r.line("experiment"); line["to"] != "aborted" || !strings.Contains(line["detail"].(string), "shutting down") {
		t.Errorf("the log tells %v, want it aborted", line)
	}
	r.line("draining")
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	_ = x.Process.Kill()
	_ = x.Wait()
}

// Standard output is for what was asked for: a verdict, or what is wrong.
func TestWhereTheProblemsOfAnExperimentGo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drill.yaml")
	write(t, file, "name: x\n")
	const problem = "fault.name: must name a fault of the policy"
	for _, tt := range []struct {
		args             []string
		wantOut, wantErr bool
	}{
		{[]string{"experiment", file}, false, true},
		{[]string{"experiment", "--check", file}, true, false},
	} {
		x := inquiry{Cmd: bounded(t, os.Args[0], tt.args...)}
		x.Env = append(os.Environ(), asSidecar+"=1")
		x.Stdout, x.Stderr = &x.out, &x.log
		_ = x.Run()
		if code := x.ProcessState.ExitCode(); code != 1 {
			t.Errorf("%q: exit code %d, want 1", tt.args, code)
		}
		for name, got := range map[string]struct {
			text string
			want bool
		}{"stdout": {x.out.String(), tt.wantOut}, "stderr": {x.log.String(), tt.wantErr}} {
			if strings.Contains(got.text, problem) != got.want || (got.text != "") != got.want {
				t.Errorf("%q: %s is %q, want the problems: %t", tt.args, name, got.text, got.want)
			}
		}
	}
}

func TestTheAdminPortRefusesAnExperiment(t *testing.T) {
	const token = "correct-horse-battery-staple"
	r := startGuarded(t, "127.0.0.1:0", token)
	file := filepath.Join(t.TempDir(), "drill.yaml")
	write(t, file, "name: drill\nfault: {name: chaos}\nsteadyState: {errorPercent: 1}\nduration: 20m\n")
	secret := filepath.Join(t.TempDir(), "token")
	write(t, secret, token+"\n")
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"without a token":           {nil, "401 Unauthorized: the request must carry Authorization"},
		"longer than is allowed":    {[]string{"--token-file", secret}, "duration: must be 1s to the policy's maxDuration of 10m0s, got 20m0s"},
		"at a port that is no such": {[]string{"--admin", r.telemetry}, "404 Not Found"},
		"at what is no URL":         {[]string{"--admin", "localhost:9901"}, "--admin: must begin with http:// or https://"},
	} {
		args := append([]string{"experiment", "--admin", r.admin, file}, tt.args...)
		if tt.args != nil && tt.args[0] == "--admin" {
			args = append([]string{"experiment", file}, tt.args...)
		}
		out, err := sidecarOutput(t, args...)
		if err == nil || !strings.Contains(out, tt.says) || strings.Contains(out, token) {
			t.Errorf("%s: %v: %s, want %q", name, err, out, tt.says)
		}
	}
}
