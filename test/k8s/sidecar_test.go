package k8s_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// rendered is one app with its sidecar.
type rendered struct {
	manifests
	pod     corev1.PodTemplateSpec
	sidecar corev1.Container
	file    string // the policy as it lies in the repository
	policy  policy
}

// each runs test for every kustomization.
func each(t *testing.T, test func(*testing.T, rendered)) {
	for _, dir := range kustomizations {
		t.Run(dir, func(t *testing.T) {
			a := rendered{
				manifests: render(t, filesys.MakeFsOnDisk(), filepath.Join(root, dir)),
				file:      string(read(t, root, dir, "sidecar.yaml")),
			}
			if len(a.deployments) != 1 || len(a.services) != 1 || len(a.configMaps) != 1 {
				t.Fatalf("want a Deployment, a Service and a ConfigMap, got %+v", a.manifests)
			}
			a.pod, a.policy = a.deployments[0].Spec.Template, readPolicy(t, a.file)
			i := slices.IndexFunc(a.pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "sidecar" })
			if i < 0 {
				t.Fatal("there is no init container named sidecar")
			}
			a.sidecar = a.pod.Spec.InitContainers[i]
			test(t, a)
		})
	}
}

// port returns the number of the sidecar's port with this name.
func (a rendered) port(name string) string {
	for _, p := range a.sidecar.Ports {
		if p.Name == name {
			return fmt.Sprintf(":%d", p.ContainerPort)
		}
	}
	return "none"
}

func TestTheSidecarIsANativeOne(t *testing.T) {
	each(t, func(t *testing.T, a rendered) {
		if p := a.sidecar.RestartPolicy; p == nil || *p != corev1.ContainerRestartPolicyAlways {
			t.Errorf("container %+v, want restartPolicy Always: else the app waits for it to end", a.sidecar)
		}
		memory := a.sidecar.Resources.Limits.Memory()
		if r := a.sidecar.Resources.Requests; r.Cpu().IsZero() || r.Memory().IsZero() || memory.IsZero() {
			t.Errorf("resources %+v, want requests, and a limit on memory", a.sidecar.Resources)
		}
	})
}

func TestProbesAskTheTelemetryPort(t *testing.T) {
	each(t, func(t *testing.T, a rendered) {
		if got, want := a.port("telemetry"), a.policy.Server.Telemetry; got != want {
			t.Errorf("port telemetry is %s, the policy says %s", got, want)
		}
		if got := ":" + a.pod.Annotations["prometheus.io/port"]; got != a.policy.Server.Telemetry {
			t.Errorf("Prometheus scrapes %s, the policy says %s", got, a.policy.Server.Telemetry)
		}
		for path, probe := range map[string]*corev1.Probe{
			"/readyz of startup": a.sidecar.StartupProbe, "/readyz of readiness": a.sidecar.ReadinessProbe, "/livez of liveness": a.sidecar.LivenessProbe,
		} {
			path, _, _ := strings.Cut(path, " ")
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port != intstr.FromString("telemetry") {
				t.Errorf("probe %+v, want one of %s on the telemetry port", probe, path)
			}
		}
	})
}

func TestTheSidecarMayDoNothingItNeedNot(t *testing.T) {
	is := func(b *bool, want bool) bool { return b != nil && *b == want }
	each(t, func(t *testing.T, a rendered) {
		c := a.sidecar.SecurityContext
		if c == nil || !is(c.RunAsNonRoot, true) || !is(c.ReadOnlyRootFilesystem, true) || !is(c.AllowPrivilegeEscalation, false) ||
			c.Capabilities == nil || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(c.Capabilities.Add) > 0 ||
			c.SeccompProfile == nil || c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Fatalf("security context %+v, want the restricted one", c)
		}
		// The image says by itself who it runs as; both have to say the same.
		if user := fmt.Sprintf("\nUSER %d:%d\n", *c.RunAsUser, *c.RunAsGroup); !strings.Contains(string(read(t, "../../Dockerfile")), user) {
			t.Errorf("the Dockerfile has no line%s", user)
		}
	})
}

// The app sleeps while the sidecar serves on, then it ends, then the sidecar
// drains: and there is time for all of it.
func TestStoppingFailsNoRequest(t *testing.T) {
	each(t, func(t *testing.T, a rendered) {
		shutdown := a.policy.Server.Shutdown
		drain, timeout := shutdown.DrainDelay.Seconds(), shutdown.Timeout.Seconds()
		sleeps := 0.0
		for _, c := range a.pod.Spec.Containers {
			if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
				t.Fatalf("%s has no preStop sleep: it is gone while requests still arrive", c.Name)
			}
			sleeps = max(sleeps, float64(c.Lifecycle.PreStop.Sleep.Seconds))
		}
		if sleeps < drain {
			t.Errorf("preStop sleeps %v s, want at least drainDelay, %v s", sleeps, drain)
		}
		grace := 30.0 // what Kubernetes gives by itself
		if g := a.pod.Spec.TerminationGracePeriodSeconds; g != nil {
			grace = float64(*g)
		}
		if grace < sleeps+drain+timeout {
			t.Errorf("terminationGracePeriodSeconds %v, want at least %v", grace, sleeps+drain+timeout)
		}
	})
}

func TestTheServiceLeadsToTheSidecar(t *testing.T) {
	each(t, func(t *testing.T, a rendered) {
		service := a.services[0].Spec
		target := ":" + service.Ports[0].TargetPort.String()
		if len(service.Ports) != 1 || target != a.policy.Server.Listen || target != a.port("http-sidecar") {
			t.Errorf("ports %+v, want one that leads to %s, where the sidecar listens", service.Ports, a.policy.Server.Listen)
		}
		if !labels.SelectorFromSet(service.Selector).Matches(labels.Set(a.pod.Labels)) {
			t.Errorf("the Service selects %v, the pods have %v", service.Selector, a.pod.Labels)
		}
		wantSelected(t, "the Deployment", a.deployments[0].Spec.Selector, a.pod.Labels)
	})
}

func TestThePodMonitorFindsTheSidecar(t *testing.T) {
	monitor := decode(t, read(t, root, "podmonitor/podmonitor.yaml")).podMonitors[0].Spec
	each(t, func(t *testing.T, a rendered) {
		wantSelected(t, "the PodMonitor", &monitor.Selector, a.pod.Labels)
		if port := monitor.PodMetricsEndpoints[0].Port; a.port(port) != a.policy.Server.Telemetry {
			t.Errorf("the PodMonitor asks port %s, want the telemetry port", port)
		}
	})
}

func wantSelected(t *testing.T, who string, selector *metav1.LabelSelector, pod map[string]string) {
	t.Helper()
	if s, err := metav1.LabelSelectorAsSelector(selector); err != nil || s.Empty() || !s.Matches(labels.Set(pod)) {
		t.Errorf("%s selects %v (%v), the pods have %v", who, selector, err, pod)
	}
}

// The file that is tested in configs is the one that the sidecar gets to read.
func TestTheSidecarReadsThePolicy(t *testing.T) {
	each(t, func(t *testing.T, a rendered) {
		cm := a.configMaps[0]
		if cm.Data["sidecar.yaml"] != a.file {
			t.Errorf("the ConfigMap holds %q, want the file", cm.Data)
		}
		for _, v := range a.pod.Spec.Volumes {
			if v.Name == a.sidecar.VolumeMounts[0].Name && (v.ConfigMap == nil || v.ConfigMap.Name != cm.Name) {
				t.Errorf("the volume %+v is not of the ConfigMap %s", v, cm.Name)
			}
		}
		got, want := strings.Join(a.sidecar.Args, " "), "run --policy "+a.sidecar.VolumeMounts[0].MountPath+"/sidecar.yaml"
		if got != want {
			t.Errorf("args %q, want %q", got, want)
		}
	})
}
