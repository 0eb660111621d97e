package operations

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Series is a metric as a query names it.
type Series struct {
	Name     string
	Matchers []Matcher
}

// Matcher is one of a selector's.
type Matcher struct{ Label, Op, Value string }

var (
	seriesPattern   = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?`)
	matcherPattern  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	groupingPattern = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	rangePattern    = regexp.MustCompile(`\[[^]]*\]|\boffset\s+\S+`)
	textPattern     = regexp.MustCompile(`"[^"]*"`)
)

// keywords are the words of PromQL that stand where a name may.
var keywords = []string{"and", "or", "unless", "bool", "offset"}

// SeriesOf returns the metrics of a query with their matchers. It knows PromQL as far
// as it is used here, and leaves it to promtool to say whether a query is one.
func SeriesOf(query string) []Series {
	query = rangePattern.ReplaceAllString(groupingPattern.ReplaceAllString(query, " "), " ")
	var all []Series
	for _, m := range seriesPattern.FindAllStringSubmatchIndex(query, -1) {
		name, rest := query[m[2]:m[3]], strings.TrimSpace(query[m[1]:])
		inText := strings.Count(query[:m[0]], `"`)%2 == 1
		afterDigit := m[0] > 0 && query[m[0]-1] >= '0' && query[m[0]-1] <= '9' // 1E5
		isFunction := m[4] < 0 && strings.HasPrefix(rest, "(")
		if inText || afterDigit || isFunction || slices.Contains(keywords, name) || isAggregation(name) {
			continue
		}
		s := Series{Name: name}
		if m[4] >= 0 {
			for _, matcher := range matcherPattern.FindAllStringSubmatch(query[m[4]:m[5]], -1) {
				s.Matchers = append(s.Matchers, Matcher{matcher[1], matcher[2], matcher[3]})
			}
		}
		all = append(all, s)
	}
	return all
}

// isAggregation is for "sum by (…) (…)", whose parenthesis comes after its grouping.
func isAggregation(name string) bool {
	return slices.Contains([]string{"sum", "min", "max", "avg", "count", "group", "topk"}, name)
}

// GroupingOf returns the labels by which a query groups, joins and matches.
func GroupingOf(query string) []string {
	var all []string
	for _, m := range groupingPattern.FindAllStringSubmatch(textPattern.ReplaceAllString(query, `""`), -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" {
				all = append(all, label)
			}
		}
	}
	return all
}

// Check returns what a query names that there is not: a metric, a label of it, a value
// of that.
func (v *Vocabulary) Check(query string) (problems []string) {
	labels := append([]string{"le"}, targetLabels...)
	for _, s := range SeriesOf(query) {
		metric, known := v.find(s.Name)
		if !known {
			problems = append(problems, "there is no metric "+s.Name)
			continue
		}
		for _, l := range metric.Labels {
			labels = append(labels, l.Name)
		}
		for _, m := range s.Matchers {
			problems = append(problems, checkMatcher(metric, s.Name, m)...)
		}
	}
	for _, label := range GroupingOf(query) {
		if !slices.Contains(labels, label) {
			problems = append(problems, "no metric in it has the label "+label)
		}
	}
	return problems
}

func checkMatcher(metric Metric, name string, m Matcher) (problems []string) {
	if slices.Contains(targetLabels, m.Label) {
		return nil
	}
	i := slices.IndexFunc(metric.Labels, func(l Label) bool { return l.Name == m.Label })
	if i < 0 {
		return []string{fmt.Sprintf("%s has no label %s", name, m.Label)}
	}
	if metric.Labels[i].Values == nil || m.Value == "" {
		return nil
	}
	alternatives := []string{m.Value}
	if strings.HasSuffix(m.Op, "~") {
		alternatives = strings.Split(m.Value, "|")
	}
	for _, value := range alternatives {
		pattern := "^(?:" + regexp.QuoteMeta(value) + ")$"
		if strings.HasSuffix(m.Op, "~") {
			pattern = "^(?:" + value + ")$"
		}
		matches, err := regexp.Compile(pattern)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s%s%q is no pattern", m.Label, m.Op, m.Value))
			continue
		}
		if value != "" && !slices.ContainsFunc(metric.Labels[i].Values, matches.MatchString) {
			problems = append(problems, fmt.Sprintf("%s of %s is never %s", m.Label, name, value))
		}
	}
	return problems
}
