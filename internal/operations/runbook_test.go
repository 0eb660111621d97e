package operations

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Every alert has its section, and no section is of an alert that is gone.
func TestRunbookHasEachAlert(t *testing.T) {
	t.Parallel()
	var alerts []string
	for _, r := range rules(t) {
		if r.Alert != "" && !slices.Contains(alerts, r.Alert) {
			alerts = append(alerts, r.Alert)
		}
	}
	sections := runbookSections(t)
	for _, alert := range alerts {
		if _, ok := sections[alert]; !ok {
			t.Errorf("%s has no section %s", RunbookFile, alert)
		}
	}
	for title, text := range sections {
		if !strings.HasPrefix(title, "Quash") {
			continue
		}
		if !slices.Contains(alerts, title) {
			t.Errorf("%s has a section %s, and there is no such alert", RunbookFile, title)
		}
		for _, question := range []string{"**For callers:**", "**Look:**", "**Do:**"} {
			if !strings.Contains(text, question) {
				t.Errorf("%s: %s has no %s", RunbookFile, title, question)
			}
		}
	}
}

var codePattern = regexp.MustCompile("```promql\n(?s:(.*?))```")

func TestRunbookAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	v := vocabulary(t)
	for _, query := range runbookQueries(t) {
		for _, problem := range v.Check(query) {
			t.Errorf("%s: %s: %s", RunbookFile, query, problem)
		}
	}
}

// runbookQueries are the queries of the runbook, one a line.
func runbookQueries(t *testing.T) (queries []string) {
	t.Helper()
	for _, block := range codePattern.FindAllStringSubmatch(runbook(t), -1) {
		for query := range strings.Lines(block[1]) {
			queries = append(queries, strings.TrimSpace(query))
		}
	}
	if len(queries) == 0 {
		t.Fatalf("%s has no queries", RunbookFile)
	}
	return queries
}

// Whose fault a reason is stands in the runbook too, where it is looked up at night.
func TestRunbookHasEachReason(t *testing.T) {
	t.Parallel()
	text := runbookSections(t)["Whose fault"]
	for number, name := range quashv1.ErrorReason_name {
		if reason := strings.TrimPrefix(name, "ERROR_REASON_"); number != 0 && !strings.Contains(text, "`"+reason+"`") {
			t.Errorf("%s does not say whose fault %s is", RunbookFile, reason)
		}
	}
}

func runbook(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(inRoot(RunbookFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// runbookSections are the texts below the headings, of whichever level.
func runbookSections(t *testing.T) map[string]string {
	t.Helper()
	sections, title := map[string]string{}, ""
	for line := range strings.Lines(runbook(t)) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			title = strings.TrimSpace(heading)
			sections[title] = ""
			continue
		}
		sections[title] += line
	}
	return sections
}
