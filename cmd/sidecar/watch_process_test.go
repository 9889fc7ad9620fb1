package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sidecar/internal/authz"
)

// next returns the next line of the log that tells of a reload, good or bad.
func (r *running) next() map[string]any {
	r.t.Helper()
	for {
		select {
		case line := <-r.lines:
			switch line["msg"] {
			case "policy reloaded", "policy not reloaded: the one before holds":
				return line
			}
		case <-time.After(20 * time.Second):
			r.t.Fatal("the log tells of no reload")
		}
	}
}

// wantReload checks the next line that tells of a reload.
func (r *running) wantReload(changed, reset string) map[string]any {
	r.t.Helper()
	line := r.next()
	got := fmt.Sprintf("%v by %v: changed %v, reset %v", line["msg"], line["who"], line["changed"], line["reset"])
	want := fmt.Sprintf("policy reloaded by watch: changed %s, reset %s", changed, reset)
	if got != want {
		r.t.Fatalf("the log says %v, want %s", line, want)
	}
	return line
}

func (r *running) wantHealth(status string) {
	r.t.Helper()
	if _, text := ask(r.t, "GET", r.telemetry+"/healthz", ""); !strings.Contains(text, `"`+status+`"`) {
		r.t.Errorf("health: %s, want %s", text, status)
	}
}

func TestAPolicyThatChangesIsReloaded(t *testing.T) {
	text := strings.Replace(minimal(well(t)), "routes:", "policies: {rateLimit: {fair: {rate: 100/s}}}\n"+
		"defaults: {use: {rateLimit: fair}}\nroutes:", 1)
	r := run(t, text)
	other := strings.Replace(text, "100/s", "50/s", 1)
	write(t, r.policy+".swp", other)
	if err := os.Rename(r.policy+".swp", r.policy); err != nil {
		t.Fatal(err)
	}
	line := r.wantReload("[rateLimit/fair changed]", "[rateLimit/fair]")
	_, metrics := ask(t, "GET", r.telemetry+"/metrics", "")
	info := regexp.MustCompile(`(?m)^sidecar_config_info\{.*$`).FindAllString(metrics, -1)
	if got, want := fmt.Sprint(info), fmt.Sprintf(`[sidecar_config_info{hash="%s"} 1]`, line["hash"]); got != want {
		t.Errorf("metrics tell %s, want %s", got, want)
	}

	if err := os.Remove(r.policy); err != nil {
		t.Fatal(err)
	}
	line = r.next()
	if got := fmt.Sprint(line["error"]); line["who"] != "watch" || !strings.Contains(got, "no such file") {
		t.Errorf("the log says %v, want that there is no file", line)
	}
	r.wantHealth("degraded")
	if _, again := ask(t, "GET", r.telemetry+"/metrics", ""); !strings.Contains(again, "sidecar_config_last_reload_successful 0") ||
		!strings.Contains(again, info[0]) {
		t.Errorf("metrics do not tell of the failed reload, or not of the policy that holds")
	}
	if status, text := ask(t, "GET", r.data, ""); status != 200 || text != "well" {
		t.Errorf("traffic: %d %q, want it untouched", status, text)
	}

	write(t, r.policy, other)
	r.wantReload("[]", "[]")
	r.wantHealth("healthy")
}

// volume is a ConfigMap or Secret in a pod: what it holds is in a directory
// of its version, and the kubelet swaps the link to that directory.
func volume(t *testing.T, folder, version, name, text string) {
	t.Helper()
	dir, link := filepath.Join(folder, "..v"+version), filepath.Join(folder, "..data")
	before, _ := os.Readlink(link)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), text)
	if err := os.Symlink(filepath.Base(dir), link+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		t.Fatal(err)
	}
	if before == "" {
		if err := os.Symlink("..data/"+name, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	} else if err := os.RemoveAll(filepath.Join(folder, before)); err != nil {
		t.Fatal(err)
	}
}

func TestAConfigMapAndASecretAreFollowed(t *testing.T) {
	configMap, secrets := t.TempDir(), t.TempDir()
	policy := func(rate string) string {
		return strings.Replace(minimal(well(t)), "routes:", `policies:
  authn: {ours: {issuers: [{issuer: us, secretFile: "`+secrets+`/key"}]}}
  authz: {all: {default: allow}}
  rateLimit: {fair: {rate: `+rate+`}}
defaults: {use: {authn: ours, authz: all, rateLimit: fair}}
routes:`, 1)
	}
	// As long as HS256 wants it.
	key := func(i int) string { return fmt.Sprintf("the secret of version %d, which is long enough", i) }
	text := policy("100/s")
	volume(t, secrets, "0", "key", key(0))
	volume(t, configMap, "0", "sidecar.yaml", text)
	r := start(t, nil, "run", "--policy", filepath.Join(configMap, "sidecar.yaml"))
	for i := 1; i <= 2; i++ {
		volume(t, secrets, fmt.Sprint(i), "key", key(i))
		r.wantReload("[authn/ours changed]", "[]")
		for version, want := range map[int]int{i - 1: 401, i: 200} {
			if got := r.asWith(key(version)); got != want {
				t.Errorf("after rotation %d: %d with key %d, want %d", i, got, version, want)
			}
		}
		text = strings.Replace(text, fmt.Sprint(100-i+1, "/s"), fmt.Sprint(100-i, "/s"), 1)
		volume(t, configMap, fmt.Sprint(i), "sidecar.yaml", text)
		r.wantReload("[rateLimit/fair changed]", "[rateLimit/fair]")
	}
}

// asWith returns the status that a token signed with key gets.
func (r *running) asWith(key string) int {
	r.t.Helper()
	token, err := authz.Sign([]byte(key), authz.Token{Subject: "alice", Issuer: "us", TTL: time.Hour})
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequest("GET", r.data, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
