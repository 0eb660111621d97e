package chart

import (
	"strconv"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Whatever selects pods selects those of the Deployment.
func TestSelectors(t *testing.T) {
	t.Parallel()
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		pod := labels.Set(all.pod(t).Labels)
		check := func(what string, selector *metav1.LabelSelector) {
			t.Helper()
			s, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Fatal(err)
			}
			if s.Empty() || !s.Matches(pod) {
				t.Errorf("%s selects %s, and pods are %s", what, s, pod)
			}
		}
		deployment := the[*appsv1.Deployment](t, all)
		check("Deployment", deployment.Spec.Selector)
		for _, s := range every[*corev1.Service](all) {
			check("Service "+s.Name, metav1.SetAsLabelSelector(s.Spec.Selector))
		}
		for _, b := range every[*policyv1.PodDisruptionBudget](all) {
			check("PodDisruptionBudget", b.Spec.Selector)
		}
		for _, p := range every[*networkingv1.NetworkPolicy](all) {
			check("NetworkPolicy", &p.Spec.PodSelector)
		}
		for _, c := range deployment.Spec.Template.Spec.TopologySpreadConstraints {
			check("topology spread", c.LabelSelector)
		}
		for _, h := range every[*autoscalingv2.HorizontalPodAutoscaler](all) {
			if target := h.Spec.ScaleTargetRef; target.Kind != "Deployment" || target.Name != deployment.Name {
				t.Errorf("HorizontalPodAutoscaler scales %s %s", target.Kind, target.Name)
			}
			if deployment.Spec.Replicas != nil {
				t.Error("the Deployment says how many pods there are, and would undo what the HorizontalPodAutoscaler does")
			}
		}
		account := deployment.Spec.Template.Spec.ServiceAccountName
		for _, a := range every[*corev1.ServiceAccount](all) {
			if a.Name != account {
				t.Errorf("ServiceAccount %s, and pods use %s", a.Name, account)
			}
		}
	})
}

// quash listens on the ports that the container, the Services, the probes and the
// network policy name.
func TestPorts(t *testing.T) {
	t.Parallel()
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		container := all.container(t)
		ports := map[string]int32{}
		for _, p := range container.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, name := range []string{"grpc", "http", "admin"} {
			addr, _ := argument(container.Args, "--"+name+"-addr")
			if want := ":" + strconv.Itoa(int(ports[name])); addr != want {
				t.Errorf("--%s-addr is %q, and the container's port %q", name, addr, want)
			}
		}
		check := func(what string, port intstr.IntOrString) {
			t.Helper()
			if ports[port.StrVal] == 0 {
				t.Errorf("%s names port %q, which the container does not have", what, port.String())
			}
		}
		check("startup probe", container.StartupProbe.HTTPGet.Port)
		check("liveness probe", container.LivenessProbe.HTTPGet.Port)
		check("readiness probe", container.ReadinessProbe.HTTPGet.Port)
		for _, s := range every[*corev1.Service](all) {
			for _, p := range s.Spec.Ports {
				check("Service "+s.Name, p.TargetPort)
				// Nothing translates the ports of a headless one.
				if s.Spec.ClusterIP == corev1.ClusterIPNone && p.Port != ports[p.TargetPort.StrVal] {
					t.Errorf("Service %s says port %d, and clients reach pods at %d", s.Name, p.Port, ports[p.TargetPort.StrVal])
				}
			}
		}
		for _, p := range every[*networkingv1.NetworkPolicy](all) {
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					check("NetworkPolicy", *port.Port)
				}
			}
		}
	})
}

// The admin listener serves TLS as soon as there is a certificate, and whoever asks
// it must know.
func TestAdminScheme(t *testing.T) {
	t.Parallel()
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		container := all.container(t)
		want := "http"
		if _, tls := argument(container.Args, "--tls-cert-file"); tls {
			want = "https"
		}
		for what, probe := range map[string]*corev1.Probe{
			"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe,
		} {
			if got := strings.ToLower(string(probe.HTTPGet.Scheme)); got != want {
				t.Errorf("the %s probe speaks %s, and quash %s", what, got, want)
			}
		}
		for _, m := range every[*monitoringv1.ServiceMonitor](all) {
			if got := m.Spec.Endpoints[0].Scheme; got == nil || got.String() != want {
				t.Errorf("the ServiceMonitor speaks %v, and quash %s", got, want)
			}
		}
	})
}

// One Service, and a port of it, are found by the ServiceMonitor: two would count
// every pod twice.
func TestScrapedOnce(t *testing.T) {
	t.Parallel()
	all := install(t, named(t, "mesh"))
	monitor := the[*monitoringv1.ServiceMonitor](t, all)
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, s := range every[*corev1.Service](all) {
		if !selector.Matches(labels.Set(s.Labels)) {
			continue
		}
		if job := s.Labels[monitor.Spec.JobLabel]; job != "blue" {
			t.Errorf("the job of Service %s would be %q, and not the release's name", s.Name, job)
		}
		for _, p := range s.Spec.Ports {
			if p.Name == monitor.Spec.Endpoints[0].Port {
				found = append(found, s.Name)
			}
		}
	}
	if len(found) != 1 {
		t.Errorf("the ServiceMonitor finds %q, want one Service", found)
	}
}
