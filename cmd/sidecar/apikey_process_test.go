package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sidecar/internal/authz"
)

// keyed returns the status that GET gets with key in field, and the line of the
// log.
func (r *running) keyed(field, key string) (int, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequest("GET", r.data, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set(field, key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, r.line("request")
}

func TestAPIKeysRotateWithTheirFile(t *testing.T) {
	keys := []string{authz.NewAPIKey(), authz.NewAPIKey()}
	entries := make([]string, len(keys))
	for i, key := range keys {
		entry, err := authz.APIKeyEntry(key, "nightly", []string{"reader"})
		if err != nil {
			t.Fatal(err)
		}
		entries[i] = entry + "\n"
	}
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	write(t, file, entries[0])
	r := run(t, strings.Replace(minimal(well(t)), "routes:", `policies:
  authn: {jobs: {apiKeys: {header: X-Job, file: "`+file+`"}}}
  authz: {readers: {rules: [{effect: allow, when: {roles: [reader]}}]}}
defaults: {use: {authn: jobs, authz: readers}}
telemetry: {logs: {level: debug, redact: [cookie]}}
routes:`, 1))
	want := func(statuses ...int) {
		t.Helper()
		for i, key := range keys {
			got, line := r.keyed("X-Job", key)
			if got != statuses[i] {
				t.Errorf("%d with key %d, want %d", got, i, statuses[i])
			}
			text, _ := json.Marshal(line)
			if strings.Contains(string(text), key) || !strings.Contains(string(text), `"X-Job":["***"]`) {
				t.Errorf("the log tells the key, or not that there was one: %s", text)
			}
			if who := fmt.Sprint(line["principal"], " by ", line["credential"]); got == 200 && who != "nightly by apiKey" {
				t.Errorf("the log says %s, want nightly by apiKey", who)
			}
		}
	}
	want(200, 401)
	write(t, file, entries[0]+entries[1])
	r.wantReload("[authn/jobs changed]", "[]")
	want(200, 200)
	write(t, file, entries[1]+"half a li")
	if line := r.next(); !strings.Contains(fmt.Sprint(line["problems"], line["error"]), "line 2: must be a JSON object") {
		t.Errorf("the log says %v, want which line is bad", line)
	}
	want(200, 200)
	write(t, file, entries[1])
	r.wantReload("[authn/jobs changed]", "[]")
	want(401, 200)
}
