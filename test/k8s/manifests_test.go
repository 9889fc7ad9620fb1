package k8s_test

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// What `kubectl apply -k` is for.
var kustomizations = []string{"base", "examples/own-app"}

func TestEveryManifestDecodesStrictly(t *testing.T) {
	found := 0
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".yaml" && filepath.Base(path) != "sidecar.yaml" { // those are policies
			found++
			t.Run(strings.TrimPrefix(path, root+"/"), func(t *testing.T) { decode(t, read(t, path)) })
		}
		return err
	})
	if err != nil || found < 8 {
		t.Errorf("found %d manifests, %v", found, err)
	}
}

func TestKubectlRendersTheSame(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("kubectl is not installed")
	}
	for _, dir := range kustomizations {
		out, err := exec.Command("kubectl", "kustomize", filepath.Join(root, dir)).Output()
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		if got, want := decode(t, out), render(t, filesys.MakeFsOnDisk(), filepath.Join(root, dir)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: kubectl renders\n%+v\nwant\n%+v", dir, got, want)
		}
	}
}

// The component adds to a Deployment, takes nothing away, and leaves others be.
func TestTheComponentAddsTheSidecarWhereTheLabelSaysSo(t *testing.T) {
	files := filesys.MakeFsInMemory()
	for name, text := range map[string]string{
		"component/kustomization.yaml": string(read(t, root, "component/kustomization.yaml")),
		"component/container.yaml":     string(read(t, root, "component/container.yaml")),
		"mine/kustomization.yaml":      "resources: [with.yaml, without.yaml]\ncomponents: [../component]\n",
		"mine/with.yaml":               fmt.Sprintf(deployment, "with", "{sidecar: enabled}"),
		"mine/without.yaml":            fmt.Sprintf(deployment, "without", "{sidecar: disabled}"),
	} {
		if err := files.WriteFile("/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range render(t, files, "/mine").deployments {
		pod := d.Spec.Template
		got := []string{d.Name}
		for _, c := range pod.Spec.InitContainers {
			got = append(got, c.Name)
		}
		for _, v := range pod.Spec.Volumes {
			got = append(got, v.Name)
		}
		want := map[string][]string{
			"with":    {"with", "sidecar", "migrate", "sidecar-policy", "data"},
			"without": {"without", "migrate", "data"},
		}[d.Name]
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if pod.Annotations["mine"] != "1" || pod.Spec.Containers[0].Name != "app" {
			t.Errorf("%s: what was there before is gone: %+v", d.Name, pod)
		}
		// Prometheus asks one port of a pod: port and path have to be of one server.
		scraped := pod.Annotations["prometheus.io/port"] + pod.Annotations["prometheus.io/path"]
		if want := map[string]string{"with": "9090/metrics", "without": "8081/actuator/prometheus"}[d.Name]; scraped != want {
			t.Errorf("%s: Prometheus scrapes %s, want %s", d.Name, scraped, want)
		}
	}
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s, labels: %s}
spec:
  template:
    metadata: {annotations: {mine: "1", prometheus.io/port: "8081", prometheus.io/path: /actuator/prometheus}}
    spec:
      initContainers: [{name: migrate, image: migrate}]
      containers: [{name: app, image: app}]
      volumes: [{name: data, emptyDir: {}}]
`
