package configs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"sidecar/configs"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every policy file that we hand out is good, on whatever machine.
func TestEveryFileLoads(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.yaml", "../deploy/k8s/base/sidecar.yaml", "../deploy/k8s/examples/*/sidecar.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("found no %s, %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			f, err := policy.Load(file, policy.Options{Offline: true})
			if err != nil {
				t.Fatalf("the policy is not good:\n%v", err)
			}
			if _, err := proxy.New(proxy.Options{}).Check(f); err != nil {
				t.Errorf("the policy cannot be applied:\n%v", err)
			}
		})
	}
}

func TestDemoApplies(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "demo.secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := policy.Parse("demo.yaml", configs.Demo, policy.Options{LookupEnv: func(name string) (string, bool) {
		if name != "DEMO_SECRET_FILE" {
			return "", false
		}
		return secret, true
	}})
	if err != nil {
		t.Fatalf("the demo's policy is not good:\n%v", err)
	}
	p := proxy.New(proxy.Options{})
	defer p.Close()
	if err := p.Apply(f); err != nil {
		t.Fatalf("the demo's policy cannot be applied:\n%v", err)
	}
}

// What the README shows is what files in configs hold, so that what people
// paste works. The comments at the head of a file may be left out.
func TestReadmeShowsFiles(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := readme
	for _, file := range []string{"minimal.yaml", "readme.yaml"} {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, after, ok := bytes.Cut(rest, []byte("```yaml\n"))
		got, after, closed := bytes.Cut(after, []byte("```"))
		if !ok || !closed {
			t.Fatalf("README.md has no ```yaml block for configs/%s", file)
		}
		rest = after
		if !bytes.Contains(got, []byte("version: v1\n")) || !bytes.HasSuffix(want, got) {
			t.Errorf("README.md does not show configs/%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
	if bytes.Contains(rest, []byte("```yaml\n")) {
		t.Error("README.md has a ```yaml block that is no file in configs")
	}
}
