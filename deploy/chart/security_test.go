package chart

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// The strictest of Kubernetes' Pod Security Standards, by the code that enforces it.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	eachSet(t, func(t *testing.T, v values) {
		pod := install(t, v).pod(t)
		restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			t.Errorf("refused: %s", result.ForbiddenDetail())
		}
	})
}

// What that standard does not ask for.
func TestPodsHoldNothingTheyDoNotNeed(t *testing.T) {
	t.Parallel()
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		pod, container := all.pod(t).Spec, all.container(t)
		if root := container.SecurityContext.ReadOnlyRootFilesystem; root == nil || !*root {
			t.Error("the root file system can be written to")
		}
		if mount := pod.AutomountServiceAccountToken; mount == nil || *mount {
			t.Error("the service account's token is mounted")
		}
		if links := pod.EnableServiceLinks; links == nil || *links {
			t.Error("Services put variables beside quash's own")
		}
		for _, account := range every[*corev1.ServiceAccount](all) {
			if mount := account.AutomountServiceAccountToken; mount == nil || *mount {
				t.Error("the ServiceAccount has its token mounted")
			}
		}
		for _, volume := range pod.Volumes {
			mode := (*int32)(nil)
			switch {
			case volume.Secret != nil:
				mode = volume.Secret.DefaultMode
			case volume.ConfigMap != nil:
				mode = volume.ConfigMap.DefaultMode
			}
			if mode == nil || *mode&0o7 != 0 {
				t.Errorf("volume %s can be read by all", volume.Name)
			}
		}
	})
}

// A rule without peers lets everyone in, so that an emptied list must leave no rule.
func TestNobodyMayCallByAnEmptyList(t *testing.T) {
	t.Parallel()
	v := named(t, "minimal").with(t, `networkPolicy: {callers: [], monitoring: []}`)
	spec := the[*networkingv1.NetworkPolicy](t, install(t, v)).Spec
	if len(spec.Ingress) != 0 {
		t.Errorf("ingress is %v, want none", spec.Ingress)
	}
	if len(spec.PolicyTypes) != 2 || spec.PolicyTypes[0] != networkingv1.PolicyTypeIngress {
		t.Errorf("policy types are %v: ingress without rules is then not denied", spec.PolicyTypes)
	}
}

// Callers reach calls, and Prometheus metrics; not each the other's.
func TestWhoReachesWhat(t *testing.T) {
	t.Parallel()
	rules := the[*networkingv1.NetworkPolicy](t, install(t, named(t, "everything"))).Spec.Ingress
	if len(rules) != 2 {
		t.Fatalf("%d rules, want one for callers and one for Prometheus", len(rules))
	}
	for i, want := range [][]string{{"grpc", "http"}, {"admin"}} {
		var got []string
		for _, port := range rules[i].Ports {
			got = append(got, port.Port.StrVal)
		}
		if len(rules[i].From) == 0 || len(got) != len(want) || got[0] != want[0] {
			t.Errorf("rule %d lets %v in to %q, want %q", i, rules[i].From, got, want)
		}
	}
}

func TestUpstreamPort(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]int{
		"https://api.slashid.com":      443,
		"https://api.slashid.com:8443": 8443,
		"https://api.slashid.com/a:99": 443,
		"http://slashid.egress.svc":    80,
		"https://[2001:db8::1]":        443,
		"https://[2001:db8::1]:8443/":  8443,
	} {
		v := named(t, "mesh").with(t, `upstream: {url: "`+url+`"}`)
		egress := the[*networkingv1.NetworkPolicy](t, install(t, v)).Spec.Egress
		if got := egress[1].Ports[0].Port.IntValue(); got != want {
			t.Errorf("%s: port %d is open, want %d", url, got, want)
		}
	}
}
