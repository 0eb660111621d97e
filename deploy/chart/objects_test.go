package chart

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
)

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
		"callers": {
			"ConfigMap blue-quash-allowed-callers",
			"Deployment blue-quash",
			"HorizontalPodAutoscaler blue-quash",
			"NetworkPolicy blue-quash",
			"PodDisruptionBudget blue-quash",
			"Service blue-quash",
			"Service blue-quash-headless",
			"ServiceAccount blue-quash",
		},
		"mesh": {
			"Deployment blue-quash",
			"HorizontalPodAutoscaler blue-quash",
			"NetworkPolicy blue-quash",
			"PodDisruptionBudget blue-quash",
			"Service blue-quash",
			"Service blue-quash-headless",
			"ServiceAccount blue-quash",
			"ServiceMonitor blue-quash",
		},
		"browsers": {
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
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, object := range install(t, named(t, set)) {
				named, err := meta.Accessor(object)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %s", object.GetObjectKind().GroupVersionKind().Kind, named.GetName()))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// Names that are too long would be refused by the cluster, and names of two releases
// that are cut to the same would be each other's.
func TestNames(t *testing.T) {
	t.Parallel()
	v := named(t, "minimal").with(t, `fullnameOverride: a-very-long-name-that-somebody-has-thought-of-for-this`)
	for _, object := range install(t, v) {
		named, err := meta.Accessor(object)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(named.GetName()); n > 63 {
			t.Errorf("%s is %d characters long", named.GetName(), n)
		}
	}
}
