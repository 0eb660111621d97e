package operations

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Whoever is woken needs to know how much it matters, what it means, and where to
// read on.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
			t.Errorf("%s: the severity is %q", r.Alert, r.Labels["severity"])
		}
		if r.For == "" {
			t.Errorf("%s does not say for how long", r.Alert)
		}
		if r.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", r.Alert)
		}
		description := r.Annotations["description"]
		if !strings.Contains(description, "Look") {
			t.Errorf("%s: the description does not say where to look: %s", r.Alert, description)
		}
		if !strings.Contains(description, "$labels.job") && !strings.Contains(description, "$labels.namespace") {
			t.Errorf("%s: the description does not say which quash: %s", r.Alert, description)
		}
		want := "https://github.com/quashdev/quash/blob/main/" + RunbookFile + "#" + strings.ToLower(r.Alert)
		if r.Annotations["runbook_url"] != want {
			t.Errorf("%s: the runbook is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
}

func TestRulesAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	v := vocabulary(t)
	for _, r := range rules(t) {
		for _, problem := range v.Check(r.Expr) {
			t.Errorf("%s: %s", r.Name(), problem)
		}
	}
}

// Each reason is the fault of somebody, the same in the rules and on the dashboard.
func TestEachReasonIsSomebodysFault(t *testing.T) {
	t.Parallel()
	rule := rules(t)[slices.IndexFunc(rules(t), func(r Rule) bool { return r.Record == "quash:revocations_eligible:increase5m" })]
	if !strings.Contains(rule.Expr, `quash_reason!~"`+callersFault+`"`) {
		t.Errorf("%s leaves others out than %s: %s", rule.Record, callersFault, rule.Expr)
	}
	faults := map[string]*regexp.Regexp{}
	for whose, pattern := range map[string]string{"callers": callersFault, "SlashID": slashidFault, "quash": quashsFault} {
		faults[whose] = regexp.MustCompile("^(?:" + pattern + ")$")
	}
	for number, name := range quashv1.ErrorReason_name {
		if number == 0 {
			continue
		}
		var whose []string
		for who, matches := range faults {
			if matches.MatchString(strings.TrimPrefix(name, "ERROR_REASON_")) {
				whose = append(whose, who)
			}
		}
		if len(whose) != 1 {
			t.Errorf("%s is the fault of %v", name, whose)
		}
	}
}
