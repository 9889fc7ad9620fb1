// Package k8s_test checks the manifests in deploy/k8s without a cluster: it
// renders them as `kubectl apply -k` does, decodes them strictly into the types
// of Kubernetes, and looks at what makes or breaks a sidecar. It is a module of
// its own, so that the sidecar's has nothing of Kubernetes in it.
package k8s_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// root is where the manifests are.
const root = "../../deploy/k8s"

// manifests are the objects of one kustomization, or of a file.
type manifests struct {
	deployments []appsv1.Deployment
	services    []corev1.Service
	configMaps  []corev1.ConfigMap
	podMonitors []podMonitor
}

// podMonitor is what we use of the Prometheus Operator's type.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector            metav1.LabelSelector `json:"selector"`
		PodMetricsEndpoints []struct {
			Port string `json:"port"`
			Path string `json:"path"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// decode reads YAML documents. A key that its type does not have, and a kind
// that is none of ours, fail the test.
func decode(t *testing.T, text []byte) (m manifests) {
	t.Helper()
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var is metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &is); err != nil {
			t.Fatal(err)
		}
		switch is.APIVersion + " " + is.Kind {
		case "apps/v1 Deployment":
			strict(t, doc, &m.deployments)
		case "v1 Service":
			strict(t, doc, &m.services)
		case "v1 ConfigMap":
			strict(t, doc, &m.configMaps)
		case "monitoring.coreos.com/v1 PodMonitor":
			strict(t, doc, &m.podMonitors)
		case "kustomize.config.k8s.io/v1beta1 Kustomization", "kustomize.config.k8s.io/v1alpha1 Component":
			strict(t, doc, &[]types.Kustomization{})
		default:
			t.Fatalf("unknown kind %s %s", is.APIVersion, is.Kind)
		}
	}
	return m
}

func strict[T any](t *testing.T, doc []byte, to *[]T) {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict(doc, &v); err != nil {
		t.Fatal(err)
	}
	*to = append(*to, v)
}

// render returns what the kustomization in dir says in the end.
func render(t *testing.T, fs filesys.FileSystem, dir string) manifests {
	t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := objects.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// policy is what the manifests must agree on with the policy file.
type policy struct {
	Server struct {
		Listen    string `json:"listen"`
		Telemetry string `json:"telemetry"`
		Shutdown  struct {
			DrainDelay metav1.Duration `json:"drainDelay"`
			Timeout    metav1.Duration `json:"timeout"`
		} `json:"shutdown"`
	} `json:"server"`
}

// readPolicy reads the part of a policy that concerns us. That the whole of it
// is good is tested in configs.
func readPolicy(t *testing.T, text string) (p policy) {
	t.Helper()
	p.Server.Listen, p.Server.Telemetry = ":8080", ":9090"
	p.Server.Shutdown.DrainDelay.Duration, p.Server.Shutdown.Timeout.Duration = 5*time.Second, 25*time.Second
	if err := yaml.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
