package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sidecar/internal/admin"
	"sidecar/internal/certs"
	"sidecar/internal/exchange"
)

type healthCmd struct {
	URL string `default:"http://127.0.0.1:9090/healthz" help:"Its telemetry port, with or without /healthz; default ${default}." placeholder:"URL"`
	CA  string `name:"ca-file" type:"path" help:"Whose certificate it has, for https://; default the system's CAs." placeholder:"FILE"`
}

// healthTimeout is how long a sidecar has to answer: one that takes longer on
// its own machine is not well.
const healthTimeout = 2 * time.Second

// Run prints how a running sidecar fares, in one line, and fails unless it is
// healthy or degraded: restarting a degraded one would heal nothing.
func (c healthCmd) Run(p *process) error {
	// The transport is our own, so that no proxy from the environment is asked
	// in the sidecar's place.
	transport := &http.Transport{DisableKeepAlives: true}
	if c.CA != "" {
		m, err := (&certs.Client{CAFile: c.CA}).Material(os.ReadFile)
		if err != nil {
			return fmt.Errorf("health: --ca-file: %s", problemOf(err))
		}
		transport.TLSClientConfig = m.TLS
	}
	h, err := askHealth(p.ctx, transport, c.URL)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	fmt.Fprintln(p.stdout, h)
	if h.Status == admin.Unhealthy {
		return errSaid
	}
	return nil
}

// problemOf returns what is wrong with a file, without the key of a policy.
func problemOf(err error) string {
	if field, ok := errors.AsType[*exchange.FieldError](err); ok {
		return field.Problem
	}
	return err.Error()
}

// health is what /healthz says.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"`
}

func (h health) String() string {
	if len(h.Reasons) == 0 {
		return h.Status
	}
	return h.Status + ": " + strings.Join(h.Reasons, "; ")
}

// askHealth asks at url. An answer that /healthz does not give is an error:
// something else may be listening there.
func askHealth(ctx context.Context, rt http.RoundTripper, url string) (h health, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTimeout, fmt.Errorf("no answer in %v", healthTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil || req.URL.Host == "" || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		// What is wrong with it may be a part of a password.
		return h, errors.New("--url: must begin with http:// or https:// and name a host, like http://127.0.0.1:9090/healthz")
	}
	if req.URL.Path == "" || req.URL.Path == "/" {
		req.URL.Path = "/healthz"
	}
	// What else a URL has may be secret.
	asked := req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
	// One round trip: a client would follow redirects to somebody else's word.
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return h, fmt.Errorf("%s: %w", asked, err)
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&h)
	if code, ok := healthCodes[h.Status]; err != nil || !ok || code != resp.StatusCode {
		return h, fmt.Errorf("%s: must be the /healthz of a sidecar, which this is not: %s", asked, resp.Status)
	}
	return h, nil
}

// healthCodes are the states of health and the status code of each.
var healthCodes = map[string]int{
	admin.Healthy:   http.StatusOK,
	admin.Degraded:  http.StatusOK,
	admin.Unhealthy: http.StatusServiceUnavailable,
}
