package operations

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// promtool runs Prometheus' own judge of rules.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus has it): the rules are not tried")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRulesAreRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", inRoot(RulesFile))
}

var cases = flag.Bool("cases", false, "try the alerts on recorded series, which takes half a minute")

func TestAlertsOnRecordedSeries(t *testing.T) {
	t.Parallel()
	if !*cases {
		t.Skip("the alerts are not tried on recorded series: make alerts does that")
	}
	for _, path := range ruleTests(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", path)
		})
	}
}

// The queries of dashboard and runbook are passed off as rules, for promtool to read
// them.
func TestQueriesArePromQL(t *testing.T) {
	t.Parallel()
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var queries []rule
	add := func(query string) { queries = append(queries, rule{fmt.Sprintf("query:%d", len(queries)), query}) }
	for _, row := range Dashboard() {
		for _, p := range row.Panels {
			for _, q := range p.Queries {
				add(q.PromQL())
			}
		}
	}
	for _, query := range runbookQueries(t) {
		add(query)
	}
	content, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": queries}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// An alert that was never seen to fire may not be able to, and one that was never seen
// to be silent may not be able to do that.
func TestEachAlertIsSeenToFireAndToBeSilent(t *testing.T) {
	t.Parallel()
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, path := range ruleTests(t) {
		for _, check := range readChecks(t, path) {
			name := alertPattern.FindStringSubmatch(check.Expr)
			if name == nil {
				t.Errorf("%s: %s is about no alert", path, check.Expr)
				continue
			}
			silent[name[1]] = silent[name[1]] || len(check.Samples) == 0
			for _, sample := range check.Samples {
				if m := severityPattern.FindStringSubmatch(sample.Labels); m != nil {
					fires[name[1]+" "+m[1]] = true
				}
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if severity := r.Labels["severity"]; !fires[r.Alert+" "+severity] {
			t.Errorf("no case has %s fire as %s", r.Alert, severity)
		}
		if !silent[r.Alert] {
			t.Errorf("no case has %s be silent", r.Alert)
		}
	}
}

var (
	alertPattern    = regexp.MustCompile(`^ALERTS\{alertname="(\w+)",alertstate="firing"\}$`)
	severityPattern = regexp.MustCompile(`severity="(\w+)"`)
)

type check struct {
	Expr    string `yaml:"expr"`
	Samples []struct {
		Labels string `yaml:"labels"`
	} `yaml:"exp_samples"`
}

func readChecks(t *testing.T, path string) (checks []check) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Checks []check `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, test := range file.Tests {
		checks = append(checks, test.Checks...)
	}
	return checks
}

func ruleTests(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(inRoot(RuleTests))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", RuleTests, err)
	}
	return paths
}
