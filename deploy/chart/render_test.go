package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"k8s.io/apimachinery/pkg/api/meta"
)

func TestLint(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, v values) {
		t.Helper()
		for _, message := range lint.RunAll(chartDir, v, namespace).Messages {
			if message.Severity >= support.WarningSev {
				t.Error(message)
			}
		}
	}
	t.Run("without values", func(t *testing.T) { check(t, nil) })
	eachSet(t, check)
}

func kindsAndNames(t *testing.T, all objects) (list []string) {
	t.Helper()
	for _, object := range all {
		named, err := meta.Accessor(object)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s", object.GetObjectKind().GroupVersionKind().Kind, named.GetName()))
	}
	slices.Sort(list)
	return list
}

func TestObjects(t *testing.T) {
	t.Parallel()
	for set, want := range map[string][]string{
		"minimal": {
			"Deployment blue-quash",
			"HorizontalPodAutoscaler blue-quash",
			"NetworkPolicy blue-quash",
			"PodDisruptionBudget blue-quash",
			"Service blue-quash",
			"Service blue-quash-headless",
			"ServiceAccount blue-quash",
		},
		"fixed": {
			"Deployment blue-quash",
			"Service blue-quash",
			"Service blue-quash-headless",
		},
		"everything": {
			"ConfigMap revoker-dashboard",
			"ConfigMap revoker-upstream-ca",
			"Deployment revoker",
			"HorizontalPodAutoscaler revoker",
			"NetworkPolicy revoker",
			"PodDisruptionBudget revoker",
			"PrometheusRule revoker",
			"Service revoker",
			"Service revoker-headless",
			"ServiceAccount revoker-sa",
			"ServiceMonitor revoker",
		},
	} {
		if diff := cmp.Diff(want, kindsAndNames(t, install(t, named(t, set)))); diff != "" {
			t.Errorf("%s: objects (-want +got):\n%s", set, diff)
		}
	}
}

// Kubernetes rejects names of more than 63 characters.
func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	v := named(t, "minimal").with(t, `fullnameOverride: a-very-long-name-that-is-one-character-too-long-for-it`)
	for _, object := range kindsAndNames(t, install(t, v)) {
		if _, name, _ := strings.Cut(object, " "); len(name) > 63 {
			t.Errorf("%s is %d characters long", name, len(name))
		}
	}
}
