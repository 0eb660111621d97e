package chart

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	alertsFile    = "quash/files/alerts.yaml"
	dashboardFile = "quash/files/dashboard.json"
	alertCases    = "testdata/alerts.yaml"
	runbookFile   = "../../docs/operations.md"
	metricsFile   = "../../docs/reference/metrics.md"
)

func readRules(t *testing.T) (spec monitoringv1.PrometheusRuleSpec, rules []monitoringv1.Rule) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(read(t, alertsFile)), &spec); err != nil {
		t.Fatal(err)
	}
	for _, group := range spec.Groups {
		rules = append(rules, group.Rules...)
	}
	return spec, rules
}

type panel struct {
	Title   string `json:"title"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

func readPanels(t *testing.T) []panel {
	t.Helper()
	var dashboard struct {
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	return dashboard.Panels
}

// Alerts and dashboards contain templates of Prometheus and Grafana, whose braces are the
// same as Helm's.
func TestRulesAndDashboardAreNotTemplated(t *testing.T) {
	t.Parallel()
	all := install(t, named(t, "everything"))
	rule := the[*monitoringv1.PrometheusRule](t, all)
	if spec, _ := readRules(t); cmp.Diff(spec, rule.Spec) != "" || rule.Labels["release"] != "prometheus" {
		t.Errorf("labels %v, rules (-want +got):\n%s", rule.Labels, cmp.Diff(spec, rule.Spec))
	}
	i := slices.IndexFunc(every[*corev1.ConfigMap](all), func(c *corev1.ConfigMap) bool { return c.Labels["grafana_dashboard"] != "" })
	if i < 0 {
		t.Fatal("no ConfigMap has the label that Grafana's sidecar looks for")
	}
	if diff := cmp.Diff(read(t, dashboardFile), every[*corev1.ConfigMap](all)[i].Data["quash.json"]); diff != "" {
		t.Errorf("dashboard (-want +got):\n%s", diff)
	}
}

// metrics maps each series to its labels, and each label to its values if quash defines them.
type metrics map[string]map[string][]string

var (
	metricRow   = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| ([^|]*)\\|")
	metricLabel = regexp.MustCompile("`(\\w+)`(?:: ([^;]+))?")
)

// readMetrics reads the metrics reference, which is generated from a scrape of quash. It adds
// the series of recording rules, which may have the labels of any metric.
func readMetrics(t *testing.T) metrics {
	t.Helper()
	known, all := metrics{}, map[string][]string{"alertname": nil, "alertstate": nil, "le": nil}
	for _, row := range metricRow.FindAllStringSubmatch(read(t, metricsFile), -1) {
		of := map[string][]string{"le": nil}
		for _, label := range metricLabel.FindAllStringSubmatch(row[3], -1) {
			of[label[1]] = strings.FieldsFunc(label[2], func(r rune) bool { return r == ',' || r == ' ' })
			all[label[1]] = append(all[label[1]], of[label[1]]...)
		}
		names := []string{row[1]}
		if row[2] == "histogram" {
			names = []string{row[1] + "_bucket", row[1] + "_count", row[1] + "_sum"}
		}
		for _, name := range names {
			known[name] = of
		}
	}
	others := []string{
		"ALERTS", "up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds",
		"go_goroutines", "go_memstats_heap_inuse_bytes",
	}
	_, rules := readRules(t)
	for _, r := range rules {
		others = append(others, r.Record)
	}
	for _, name := range others {
		known[name] = all
	}
	return known
}

// check fails the test for each metric, label and label value in a query that quash does not
// have.
func (known metrics) check(t *testing.T, where, query string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, query)
		return
	}
	checkLabel := func(of map[string][]string, name, pattern string) {
		values, ok := of[name]
		if !ok && !slices.Contains([]string{"namespace", "job", "instance", model.MetricNameLabel}, name) {
			t.Errorf("%s: unknown label %s\n%s", where, name, query)
		}
		for value := range strings.SplitSeq(pattern, "|") {
			if len(values) > 0 && value != "" && !slices.ContainsFunc(values, regexp.MustCompile("^(?:"+value+")$").MatchString) {
				t.Errorf("%s: label %s never has the value %s\n%s", where, name, value, query)
			}
		}
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			for _, label := range n.Grouping {
				checkLabel(known["ALERTS"], label, "")
			}
		case *parser.VectorSelector:
			of, ok := known[n.Name]
			if !ok {
				t.Errorf("%s: unknown metric %s", where, n.Name)
			}
			for _, m := range n.LabelMatchers {
				checkLabel(of, m.Name, m.Value)
			}
		}
		return nil
	})
}

// grafana replaces the dashboard's variables.
var grafana = strings.NewReplacer("$__rate_interval", "1m", "$namespace", ".*", "$job", ".*", "$instance", ".*")

var runbookQueries = regexp.MustCompile("```promql\n(?s:(.*?))```")

func TestQueriesUseExistingMetrics(t *testing.T) {
	t.Parallel()
	known := readMetrics(t)
	_, rules := readRules(t)
	for _, r := range rules {
		known.check(t, r.Record+r.Alert, r.Expr.String())
	}
	for _, p := range readPanels(t) {
		for _, target := range p.Targets {
			known.check(t, p.Title, grafana.Replace(target.Expr))
		}
	}
	for _, block := range runbookQueries.FindAllStringSubmatch(read(t, runbookFile), -1) {
		for query := range strings.Lines(block[1]) {
			known.check(t, runbookFile, query)
		}
	}
}

// The dashboard assigns each reason to exactly one party, and the runbook lists it.
func TestEachReasonHasOneParty(t *testing.T) {
	t.Parallel()
	panels := readPanels(t)
	faults := panels[slices.IndexFunc(panels, func(p panel) bool { return p.Title == "Failures by fault" })]
	runbook := runbookSections(t)["Who is at fault"]
	for _, reason := range readMetrics(t)["quash_revocations_total"]["quash_reason"] {
		parties := 0
		for _, target := range faults.Targets {
			pattern := regexp.MustCompile(`quash_reason=~"([^"]+)"`).FindStringSubmatch(target.Expr)
			if regexp.MustCompile("^(?:" + pattern[1] + ")$").MatchString(reason) {
				parties++
			}
		}
		if parties != 1 {
			t.Errorf("%s is the fault of %d parties on the dashboard", reason, parties)
		}
		if !strings.Contains(runbook, "`"+reason+"`") {
			t.Errorf("%s does not say who is at fault for %s", runbookFile, reason)
		}
	}
}

// runbookSections returns the text under each heading of the runbook.
func runbookSections(t *testing.T) map[string]string {
	t.Helper()
	sections := map[string]string{}
	for _, section := range regexp.MustCompile(`(?m)^#+ `).Split(read(t, runbookFile), -1) {
		title, text, _ := strings.Cut(section, "\n")
		sections[title] = text
	}
	return sections
}

// Each alert has a severity and a section in the runbook, and promtool cases in which it
// fires and in which it does not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	cases := read(t, alertCases)
	sections := runbookSections(t)
	alerts := map[string]bool{}
	_, rules := readRules(t)
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity is %q", r.Alert, severity)
		}
		firing := `ALERTS{alertname="` + r.Alert + `",alertstate="firing"}`
		if n := strings.Count(cases, firing); n < 2 {
			t.Errorf("%s: %d cases, want one in which it fires, and one in which it does not", r.Alert, n)
		}
		if url := "https://github.com/quashdev/quash/blob/main/docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != url {
			t.Errorf("%s: runbook_url is %s, want %s", r.Alert, r.Annotations["runbook_url"], url)
		}
		if sections[r.Alert] == "" {
			t.Errorf("%s has no section %s", runbookFile, r.Alert)
		}
	}
	for title := range sections {
		if strings.HasPrefix(title, "Quash") && !alerts[title] {
			t.Errorf("%s has a section %s, but there is no such alert", runbookFile, title)
		}
	}
}

func TestAlertCases(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: apt-get install prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Base(alertCases))
	cmd.Dir = filepath.Dir(alertCases)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
