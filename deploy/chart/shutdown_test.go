package chart

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// quash ends by itself within the drain delay, the drain timeout, and a second for
// its admin listener. A kubelet that ends it before cuts revocations off.
func TestGracePeriodIsLongerThanTheDrain(t *testing.T) {
	t.Parallel()
	eachSet(t, checkGracePeriod)
	for name, change := range map[string]string{
		"no drain":   `drain: {delaySeconds: 0, timeoutSeconds: 0}`,
		"long delay": `drain: {delaySeconds: 3600}`,
		"long drain": `drain: {timeoutSeconds: 3600}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkGracePeriod(t, named(t, "minimal").with(t, change))
		})
	}
}

func checkGracePeriod(t *testing.T, v values) {
	t.Helper()
	all := install(t, v)
	args := all.container(t).Args
	grace := time.Duration(*all.pod(t).Spec.TerminationGracePeriodSeconds) * time.Second
	if drain := duration(t, args, "--drain-delay") + duration(t, args, "--drain-timeout"); grace < drain+2*time.Second {
		t.Errorf("a pod has %s to stop, and quash drains for %s and more", grace, drain)
	}
}

func duration(t *testing.T, args []string, flag string) time.Duration {
	t.Helper()
	text, _ := argument(args, flag)
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", flag, err)
	}
	return d
}

// The API refuses periods above half an hour.
func TestScaleDownPeriodIsBounded(t *testing.T) {
	t.Parallel()
	v := named(t, "minimal").with(t, `drain: {timeoutSeconds: 3600}`)
	policies := the[*autoscalingv2.HorizontalPodAutoscaler](t, install(t, v)).Spec.Behavior.ScaleDown.Policies
	if got := policies[0].PeriodSeconds; got != 1800 {
		t.Errorf("one pod less in %d s, want 1800", got)
	}
}
