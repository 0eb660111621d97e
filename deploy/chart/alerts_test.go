package chart

import (
	"slices"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	corev1 "k8s.io/api/core/v1"
)

// withFile returns the chart with another content of a file.
func withFile(t *testing.T, name, content string) *chartv2.Chart {
	t.Helper()
	c := load(t)
	c.Files = slices.DeleteFunc(c.Files, func(f *common.File) bool { return f.Name == name })
	c.Files = append(c.Files, &common.File{Name: name, Data: []byte(content)})
	return c
}

// Prometheus has templates of its own, in the same braces as Helm's.
func TestAlertsAreNotTemplated(t *testing.T) {
	t.Parallel()
	const description = "{{ $labels.pod }} has {{ $value | humanize }} of {{ .Values }}"
	c := withFile(t, "files/alerts.yaml", `groups:
  - name: quash
    rules:
      - alert: QuashGone
        expr: up{job="quash"} == 0
        for: 5m
        annotations:
          description: "`+description+`"
`)
	rule := the[*monitoringv1.PrometheusRule](t, installChart(t, c, named(t, "everything")))
	if rule.Labels["release"] != "prometheus" {
		t.Errorf("labels are %v, without those by which it is found", rule.Labels)
	}
	if got := rule.Spec.Groups[0].Rules[0].Annotations["description"]; got != description {
		t.Errorf("description is %q, want %q", got, description)
	}
}

func TestDashboardIsNotTemplated(t *testing.T) {
	t.Parallel()
	const dashboard = `{"title": "quash", "legend": "{{ quash_reason }}",
  "panels": []}`
	all := installChart(t, withFile(t, "files/dashboard.json", dashboard), named(t, "everything"))
	for _, c := range every[*corev1.ConfigMap](all) {
		if c.Labels["grafana_dashboard"] == "" {
			continue
		}
		if got := c.Data["quash.json"]; got != dashboard+"\n" {
			t.Errorf("dashboard is %q, want %q", got, dashboard)
		}
		return
	}
	t.Error("no ConfigMap has the label that Grafana's sidecar looks for")
}
