package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHealthBelievesOnlyTheHealthzOfASidecar(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		code       int
		out        string // either what is said
		problem    string // or what is wrong
	}{
		{"healthy", `{"status": "healthy", "reasons": []}`, 200, 0, "healthy\n", ""},
		{"degraded is not worth a restart", `{"status": "degraded", "reasons": ["draining", "a breaker is open"]}`, 200, 0, "degraded: draining; a breaker is open\n", ""},
		{"unhealthy", `{"status": "unhealthy", "reasons": ["starting"]}`, 503, 1, "unhealthy: starting\n", ""},
		{"another server", `<html>`, 200, 1, "", "must be the /healthz of a sidecar, which this is not: 200 OK"},
		{"another path of ours", `{"status": "alive"}`, 200, 1, "", "must be the /healthz of a sidecar"},
		{"words and code disagree", `{"status": "healthy"}`, 503, 1, "", "must be the /healthz of a sidecar"},
		{"an answer without a word", ``, 200, 1, "", "must be the /healthz of a sidecar"},
		{"a redirect is not followed", ``, 302, 1, "", "302 Found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer s.Close()
			var stdout, stderr bytes.Buffer
			p := &process{ctx: t.Context(), stdout: &stdout, stderr: &stderr}
			if code := p.main([]string{"health", "--url", s.URL + "/healthz"}); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.out, stdout.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if !strings.Contains(stderr.String(), tt.problem) || (tt.problem == "") != (stderr.Len() == 0) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), tt.problem)
			}
			if asked != 1 {
				t.Errorf("asked %d times, want once", asked)
			}
		})
	}
}

func TestHealthKnowsThePathOfAPort(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:9090":           "/healthz",
		"http://127.0.0.1:9090/":          "/healthz",
		"http://127.0.0.1:9090/livez":     "/livez",
		"http://127.0.0.1:9090/a/healthz": "/a/healthz",
	} {
		var asked string
		_, _ = askHealth(t.Context(), roundTripper(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.Path
			return nil, errors.New("nobody listens")
		}), url)
		if asked != want {
			t.Errorf("--url %s asks %q, want %q", url, asked, want)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHealthWaitsTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := askHealth(t.Context(), roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}), "http://127.0.0.1:9090/healthz")
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
		if want := "http://127.0.0.1:9090/healthz: no answer in 2s"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

// A proxy that the environment names could say that all is well.
func TestHealthAsksNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status": "healthy"}`))
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	// The broadcast address: no TCP connection leads there, and it is not
	// local, so that a proxy would be asked.
	if out, err := sidecarOutput(t, "health", "--url", "http://255.255.255.255/healthz"); err == nil {
		t.Errorf("output %s, want a failure to connect", out)
	}
}

func TestHealthOfARunningSidecar(t *testing.T) {
	r := run(t, minimal(well(t)))
	url := r.telemetry + "/healthz"
	says := func(want string) {
		t.Helper()
		if out, err := sidecarOutput(t, "health", "--url", url); err != nil || out != want+"\n" {
			t.Errorf("health: %q, %v, want %q", out, err, want)
		}
	}
	says("healthy")
	ask(t, "POST", r.admin+"/breakers/default@app", `{"state": "open"}`)
	says("degraded: circuit breaker default@app is open")

	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	out, err := sidecarOutput(t, "health", "--url", url)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, "connection refused") {
		t.Errorf("health of a sidecar that has ended: %q, %v, want exit code 1", out, err)
	}
}

// A supervisor keeps what it says.
func TestHealthTellsNoSecretOfItsURL(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	host := strings.TrimPrefix(other.URL, "http://")
	tests := []struct{ name, url, want string }{
		{"nobody listens", "http://hunter2:hunter2@127.0.0.1:0/healthz?token=hunter2#hunter2", "http://127.0.0.1:0/healthz: "},
		{"somebody else listens", "http://hunter2:hunter2@" + host + "/healthz?token=hunter2", other.URL + "/healthz: "},
		{"another scheme", "ftp://hunter2:hunter2@127.0.0.1/?hunter2", "--url: must begin with http:// or https:// and name a host"},
		{"no URL", "http://me:hunter2@local host/?hunter2", "--url: must begin with http:// or https:// and name a host"},
		{"a port without a scheme", "localhost:9090", "--url: must begin with http:// or https:// and name a host, like http://127.0.0.1:9090/healthz"},
		{"an address without a scheme", "127.0.0.1:9090", "--url: must begin with http:// or https:// and name a host, like http://127.0.0.1:9090/healthz"},
		{"a password with a slash", "http://me:hunter2/@localhost/", "--url: must begin with http:// or https:// and name a host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := &process{ctx: t.Context(), stdout: &stdout, stderr: &stderr}
			if code := p.main([]string{"health", "--url", tt.url}); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			said := stdout.String() + stderr.String()
			if strings.Contains(said, "hunter2") || !strings.HasPrefix(said, "sidecar: health: "+tt.want) {
				t.Errorf("it says %q, want %q first, and no secret", said, tt.want)
			}
		})
	}
}
