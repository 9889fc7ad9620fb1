package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sidecar/internal/certs"
	"sidecar/internal/exchange"
)

// adminFlags say where the admin port of a running sidecar is, and how it is
// asked.
type adminFlags struct {
	Admin string `default:"http://127.0.0.1:9901" help:"The admin port of the sidecar; default ${default}." placeholder:"URL"`
	Token string `name:"token-file" type:"path" help:"The file with an operator's token; default the variable ADMIN_TOKEN, if it is set." placeholder:"FILE"`
	CA    string `name:"ca-file" type:"path" help:"Whose certificate it has, for https://; default the system's CAs." placeholder:"FILE"`
}

// adminClient asks the admin port.
type adminClient struct {
	url       string
	token     string
	transport *http.Transport
}

// client returns what asks as the flags say.
func (f adminFlags) client() (*adminClient, error) {
	at, err := http.NewRequest(http.MethodGet, f.Admin, nil)
	if err != nil || at.URL.Host == "" || at.URL.Scheme != "http" && at.URL.Scheme != "https" || at.URL.User != nil {
		// What is wrong with it may be a part of a password.
		return nil, errors.New("--admin: must begin with http:// or https:// and name a host, like http://127.0.0.1:9901")
	}
	// The transport is our own, so that no proxy from the environment is asked
	// in the sidecar's place.
	a := &adminClient{url: at.URL.Scheme + "://" + at.URL.Host, token: os.Getenv("ADMIN_TOKEN"), transport: &http.Transport{DisableKeepAlives: true}}
	if f.Token != "" {
		text, err := os.ReadFile(f.Token)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		a.token = string(exchange.TrimSecret(text))
	}
	if f.CA != "" {
		m, err := (&certs.Client{CAFile: f.CA}).Material(os.ReadFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %s", problemOf(err))
		}
		a.transport.TLSClientConfig = m.TLS
	}
	return a, nil
}

// adminTimeout is how long the admin port has for an answer.
const adminTimeout = 5 * time.Second

// adminError is what the sidecar says in place of doing it.
type adminError struct {
	status string
	said   string
}

// Error returns the status and what was said.
func (e *adminError) Error() string { return e.status + ": " + e.said }

// call asks for path, with body, and reads the answer into v. The error is an
// *adminError where the sidecar says no.
func (a *adminClient) call(ctx context.Context, method, path string, body []byte, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, adminTimeout, fmt.Errorf("no answer in %v", adminTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/yaml")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	// One round trip: a client would carry the token to wherever it is sent on.
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s: %w", a.url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", a.url, err)
	}
	if resp.StatusCode >= 300 {
		return &adminError{resp.Status, wordsOf(text)}
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: must be the admin port of a sidecar, which this is not: %s", a.url, resp.Status)
	}
	return nil
}

// wordsOf returns what a problem document says.
func wordsOf(text []byte) string {
	var problem struct {
		Detail   string   `json:"detail"`
		Problems []string `json:"problems"`
	}
	if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
		return "no sidecar's word"
	}
	return strings.Join(append([]string{problem.Detail}, problem.Problems...), "\n")
}

// outliving returns a context that outlives ctx by so long.
func outliving(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

// printJSON writes v for people and programs.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
