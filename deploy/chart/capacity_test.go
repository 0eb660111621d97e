package chart

import (
	"strconv"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

func variable(c corev1.Container, name string) (value string, ok bool) {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

// The runtime counts less than the kernel does, so that it needs to stay below.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]string{
		"512Mi":      "483183820",
		"1Gi":        "966367641",
		"2G":         "1800000000",
		"1000000000": "900000000",
		"1Ti":        "",
		"536870912m": "",
	} {
		v := named(t, "minimal").with(t, "{maxInFlight: 1000, resources: {limits: {memory: \""+limit+"\"}}}")
		if want == "" {
			if _, err := render(t, load(t), v); err == nil {
				t.Errorf("%q is accepted", limit)
			}
			continue
		}
		container := install(t, v).container(t)
		got, _ := variable(container, "GOMEMLIMIT")
		if got != want {
			t.Errorf("%s: GOMEMLIMIT is %s, want %s", limit, got, want)
		}
		if n, err := strconv.ParseInt(got, 10, 64); err != nil || n >= container.Resources.Limits.Memory().Value() {
			t.Errorf("%s: GOMEMLIMIT is %s, which is not below (%v)", limit, got, err)
		}
	}
}

func TestMemoryLimitIsLeftAlone(t *testing.T) {
	t.Parallel()
	if got, ok := variable(install(t, named(t, "fixed")).container(t), "GOMEMLIMIT"); ok {
		t.Errorf("without a limit GOMEMLIMIT is %s", got)
	}
	v := named(t, "minimal").with(t, `extraEnv: [{name: GOMEMLIMIT, value: 300MiB}]`)
	if env := install(t, v).container(t).Env; len(env) != 1 || env[0].Value != "300MiB" {
		t.Errorf("the environment is %v, want the value that was given", env)
	}
}

// What autoscaling goes by is a share of the limit that quash is told.
func TestAutoscaling(t *testing.T) {
	t.Parallel()
	v := named(t, "minimal").with(t, `{maxInFlight: 2000000, autoscaling: {cpuPercent: 0, inFlightPercent: 40}}`)
	if _, err := render(t, load(t), v); err == nil {
		t.Error("more in flight than quash accepts is rendered")
	}
	all := install(t, v.with(t, `maxInFlight: 2000`))
	metrics := the[*autoscalingv2.HorizontalPodAutoscaler](t, all).Spec.Metrics
	if len(metrics) != 1 || metrics[0].Pods == nil {
		t.Fatalf("metrics are %v, want one of pods", metrics)
	}
	if got := metrics[0].Pods.Target.AverageValue.Value(); got != 800 {
		t.Errorf("pods hold %d calls on average, want 800", got)
	}
	if limit, _ := argument(all.container(t).Args, "--max-in-flight"); limit != "2000" {
		t.Errorf("--max-in-flight is %s", limit)
	}
}
