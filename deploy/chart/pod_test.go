package chart

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Pods meet the level Restricted of Kubernetes' Pod Security Standards, and get neither a
// service account token nor service links, which they do not need.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		pod, container := all.pod(t), all.container(t)
		restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			t.Errorf("rejected: %s", result.ForbiddenDetail())
		}
		if root := container.SecurityContext.ReadOnlyRootFilesystem; root == nil || !*root {
			t.Error("the root file system is writable")
		}
		if mount := pod.Spec.AutomountServiceAccountToken; mount == nil || *mount {
			t.Error("the token of the service account is mounted")
		}
		if links := pod.Spec.EnableServiceLinks; links == nil || *links {
			t.Error("Services add environment variables to those of quash")
		}
		for _, volume := range pod.Spec.Volumes {
			mode := (*int32)(nil)
			switch {
			case volume.Secret != nil:
				mode = volume.Secret.DefaultMode
			case volume.ConfigMap != nil:
				mode = volume.ConfigMap.DefaultMode
			}
			if mode == nil || *mode&0o7 != 0 {
				t.Errorf("volume %s is world-readable", volume.Name)
			}
		}
	})
}

// mounted returns the volume of a file on the command line.
func mounted(t *testing.T, all objects, file string) corev1.VolumeSource {
	t.Helper()
	for _, mount := range all.container(t).VolumeMounts {
		if mount.MountPath != path.Dir(file) {
			continue
		}
		if mount.SubPath != "" || mount.SubPathExpr != "" {
			t.Errorf("%s is mounted by subPath, so it never changes", file)
		}
		if !mount.ReadOnly {
			t.Errorf("%s is writable", file)
		}
		for _, volume := range all.pod(t).Spec.Volumes {
			if volume.Name == mount.Name {
				return volume.VolumeSource
			}
		}
	}
	t.Fatalf("no volume is mounted for %s", file)
	return corev1.VolumeSource{}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]map[string]string{
		"callers": {
			"--upstream-api-key-file": "Secret slashid: api-key",
			"--tls-cert-file":         "Secret quash-tls: tls.crt",
			"--tls-key-file":          "Secret quash-tls: tls.key",
			"--tls-client-ca-file":    "Secret quash-tls: ca.crt",
			"--allowed-callers-file":  "ConfigMap blue-quash-allowed-callers: callers",
		},
		"everything": {
			"--upstream-ca-file":      "ConfigMap revoker-upstream-ca: ca.crt",
			"--upstream-api-key-file": "Secret slashid: quash",
			"--tls-cert-file":         "Secret quash-tls: tls.crt",
			"--tls-key-file":          "Secret quash-tls: tls.key",
			"--tls-client-ca-file":    "ConfigMap authorities: callers.pem",
			"--allowed-callers-file":  "ConfigMap callers: list",
		},
	} {
		all := install(t, named(t, set))
		got := map[string]string{}
		for _, arg := range all.container(t).Args {
			flag, file, _ := strings.Cut(arg, "=")
			if !strings.HasSuffix(flag, "-file") {
				continue
			}
			switch source := mounted(t, all, file); {
			case source.Secret != nil:
				got[flag] = "Secret " + source.Secret.SecretName + ": " + path.Base(file)
			case source.ConfigMap != nil:
				got[flag] = "ConfigMap " + source.ConfigMap.Name + ": " + path.Base(file)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", set, diff)
		}
	}
	list := the[*corev1.ConfigMap](t, install(t, named(t, "callers"))).Data["callers"]
	if want := "spiffe://example.org/ns/prod/sa/billing\nspiffe://example.org/ns/prod/sa/web-*\nsessions.example.org\n"; list != want {
		t.Errorf("the list of callers is %q, want %q", list, want)
	}
}

// Pods restart only for changes that quash cannot reload, because a restart takes as long as
// the longest call.
func TestRestarts(t *testing.T) {
	t.Parallel()
	const ca = "upstream: {ca: \"-----BEGIN CERTIFICATE-----\\n%s\\n-----END CERTIFICATE-----\\n\"}"
	before := named(t, "callers").with(t, strings.Replace(ca, "%s", "BBBB", 1))
	if label := install(t, before).pod(t).Labels["helm.sh/chart"]; label != "" {
		t.Errorf("pods have the label %s, so a new chart version restarts them", label)
	}
	for change, want := range map[string]bool{
		`tls: {allowedCallers: [billing.example.org]}`:       false,
		`autoscaling: {minReplicas: 5, maxReplicas: 50}`:     false,
		`networkPolicy: {callers: []}`:                       false,
		strings.Replace(ca, "%s", "AAAA", 1):                 false,
		`log: {level: debug}`:                                true,
		`upstream: {url: "https://api.sandbox.slashid.com"}`: true,
	} {
		diff := cmp.Diff(install(t, before).pod(t), install(t, before.with(t, change)).pod(t))
		if restarted := diff != ""; restarted != want {
			t.Errorf("%s: pods restart: %v, want %v\n%s", change, restarted, want, diff)
		}
	}
}

// quash exits within the drain delay, the drain timeout, and a second for its admin listener.
// If the kubelet kills it earlier, revocations are cut off.
func TestGracePeriodIsLongerThanTheDrain(t *testing.T) {
	t.Parallel()
	for _, change := range []string{
		`{}`,
		`drain: {delaySeconds: 0, timeoutSeconds: 0}`,
		`drain: {delaySeconds: 3600}`,
		`drain: {timeoutSeconds: 3600}`,
	} {
		all := install(t, named(t, "minimal").with(t, change))
		grace := time.Duration(*all.pod(t).Spec.TerminationGracePeriodSeconds) * time.Second
		drain := time.Duration(0)
		for _, flag := range []string{"--drain-delay", "--drain-timeout"} {
			text, _ := argument(all.container(t).Args, flag)
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatalf("%s: %v", flag, err)
			}
			drain += d
		}
		if grace < drain+2*time.Second {
			t.Errorf("%s: a pod has %s to stop, but quash drains for up to %s", change, grace, drain)
		}
		// The Kubernetes API rejects periods of more than half an hour.
		policies := the[*autoscalingv2.HorizontalPodAutoscaler](t, all).Spec.Behavior.ScaleDown.Policies
		if got := policies[0].PeriodSeconds; got > 1800 {
			t.Errorf("%s: scaleDown periodSeconds is %d", change, got)
		}
	}
}

// The Go runtime counts less memory than the kernel does, so GOMEMLIMIT is lower than the
// container's limit.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for change, want := range map[string][]string{
		`{maxInFlight: 1000, resources: {limits: {memory: 512Mi}}}`:        {"483183820"},
		`{maxInFlight: 1000, resources: {limits: {memory: 2G}}}`:           {"1800000000"},
		`{maxInFlight: 1000, resources: {limits: {memory: "1000000000"}}}`: {"900000000"},
		`{resources: {limits: null}}`:                                      nil,
		`{extraEnv: [{name: GOMEMLIMIT, value: 300MiB}]}`:                  {"300MiB"},
	} {
		var got []string
		for _, v := range install(t, named(t, "minimal").with(t, change)).container(t).Env {
			if v.Name == "GOMEMLIMIT" {
				got = append(got, v.Value)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: GOMEMLIMIT is %q, want %q", change, got, want)
		}
	}
}

// The target for autoscaling is a percentage of --max-in-flight.
func TestAutoscaling(t *testing.T) {
	t.Parallel()
	all := install(t, named(t, "minimal").with(t, `{maxInFlight: 2000, autoscaling: {cpuPercent: 0, inFlightPercent: 40}}`))
	metrics := the[*autoscalingv2.HorizontalPodAutoscaler](t, all).Spec.Metrics
	if len(metrics) != 1 || metrics[0].Pods == nil || metrics[0].Pods.Target.AverageValue.Value() != 800 {
		t.Errorf("metrics are %v, want 800 calls on average", metrics)
	}
	if limit, _ := argument(all.container(t).Args, "--max-in-flight"); limit != "2000" {
		t.Errorf("--max-in-flight is %s", limit)
	}
}
