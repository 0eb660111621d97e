package chart

import (
	"slices"
	"strconv"
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

// Every selector matches the pods of the Deployment.
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
				t.Errorf("%s selects %s, but pods are %s", what, s, pod)
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
				t.Error("the Deployment sets replicas, which overrides the HorizontalPodAutoscaler")
			}
		}
		for _, a := range every[*corev1.ServiceAccount](all) {
			if account := deployment.Spec.Template.Spec.ServiceAccountName; a.Name != account {
				t.Errorf("ServiceAccount %s, but pods use %s", a.Name, account)
			}
		}
	})
}

// The container, the Services, the probes and the network policy use the ports on which quash
// listens.
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
				t.Errorf("--%s-addr is %q, but the container's port is %q", name, addr, want)
			}
		}
		check := func(what string, port intstr.IntOrString) {
			t.Helper()
			if ports[port.StrVal] == 0 {
				t.Errorf("%s names port %q, which the container does not have", what, port.String())
			}
		}
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			check("probe "+probe.HTTPGet.Path, probe.HTTPGet.Port)
		}
		for _, s := range every[*corev1.Service](all) {
			for _, p := range s.Spec.Ports {
				check("Service "+s.Name, p.TargetPort)
				// A headless Service does not translate ports.
				if s.Spec.ClusterIP == corev1.ClusterIPNone && p.Port != ports[p.TargetPort.StrVal] {
					t.Errorf("Service %s has port %d, but clients reach pods at %d", s.Name, p.Port, ports[p.TargetPort.StrVal])
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

// The ServiceMonitor selects one port of one Service. With two, every pod would be counted
// twice.
func TestEachPodIsScrapedOnce(t *testing.T) {
	t.Parallel()
	all := install(t, named(t, "mesh"))
	monitor := the[*monitoringv1.ServiceMonitor](t, all)
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, s := range every[*corev1.Service](all) {
		if !selector.Matches(labels.Set(s.Labels)) {
			continue
		}
		if job := s.Labels[monitor.Spec.JobLabel]; job != "blue" {
			t.Errorf("the job of Service %s is %q, want the name of the release", s.Name, job)
		}
		for _, p := range s.Spec.Ports {
			if p.Name == monitor.Spec.Endpoints[0].Port {
				found++
			}
		}
	}
	if found != 1 {
		t.Errorf("the ServiceMonitor selects %d ports, want 1", found)
	}
}

// Callers reach gRPC and REST, and Prometheus reaches the admin listener. A rule without
// peers allows every client, so an empty list of peers must produce no rule.
func TestIngress(t *testing.T) {
	t.Parallel()
	ingress := func(v values) (ports [][]string) {
		spec := the[*networkingv1.NetworkPolicy](t, install(t, v)).Spec
		if !slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			t.Errorf("policy types are %v: ingress is not restricted", spec.PolicyTypes)
		}
		for _, rule := range spec.Ingress {
			if len(rule.From) == 0 {
				t.Errorf("every client may reach %v", rule.Ports)
			}
			var names []string
			for _, port := range rule.Ports {
				names = append(names, port.Port.StrVal)
			}
			ports = append(ports, names)
		}
		return ports
	}
	if got := ingress(named(t, "everything")); len(got) != 2 || !slices.Equal(got[0], []string{"grpc", "http"}) || !slices.Equal(got[1], []string{"admin"}) {
		t.Errorf("rules are for the ports %v", got)
	}
	if got := ingress(named(t, "minimal").with(t, `networkPolicy: {callers: [], monitoring: []}`)); len(got) != 0 {
		t.Errorf("without peers there are rules for the ports %v", got)
	}
}

func TestEgressToThePortOfSlashID(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]int{
		"https://api.slashid.com":      443,
		"https://api.slashid.com:8443": 8443,
		"https://api.slashid.com/a:99": 443,
		"http://slashid.egress.svc":    80,
		"https://[2001:db8::1]:8443/":  8443,
	} {
		v := named(t, "mesh").with(t, `upstream: {url: "`+url+`"}`)
		egress := the[*networkingv1.NetworkPolicy](t, install(t, v)).Spec.Egress
		if got := egress[1].Ports[0].Port.IntValue(); got != want {
			t.Errorf("%s: port %d is open, want %d", url, got, want)
		}
	}
}
