package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quashdev/quash/internal/operations"
)

// question is a query that Prometheus should have an answer for.
type question struct {
	// about is the panel, or the rule.
	about, query string
	// without says why there may be none; empty where there must be one.
	without string
}

// A run of minutes has no past, and its load does not do everything.
var (
	noYesterday = "there was no yesterday"
	noCase      = "nothing of the kind happened"
)

// readQuestions are the queries of the dashboard, and the series of the rules: what
// rules ask themselves is silent on a good day.
func readQuestions() ([]question, error) {
	var all []question
	for _, row := range operations.Dashboard() {
		for _, panel := range row.Panels {
			for _, q := range panel.Queries {
				asked := question{about: panel.Title + ", " + q.Legend, query: q.PromQL()}
				if strings.Contains(q.Expr, "offset 1d") {
					asked.without = noYesterday
				}
				all = append(all, asked)
			}
		}
	}
	rules, err := operations.ReadRules(operations.RulesFile)
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		for _, s := range operations.SeriesOf(r.Expr) {
			asked := question{about: r.Name() + ", " + s.Name, query: selector(s)}
			if slices.ContainsFunc(all, func(q question) bool { return q.query == asked.query }) {
				continue
			}
			// What a replica has not done is not there, but for what it counts from 0.
			if s.Name == "quash:revocations:increase5m" {
				asked.without = noCase
			}
			all = append(all, asked)
		}
	}
	return all, nil
}

// selector is a series as a query of its own.
func selector(s operations.Series) string {
	matchers := make([]string, len(s.Matchers))
	for i, m := range s.Matchers {
		matchers[i] = fmt.Sprintf("%s%s%q", m.Label, m.Op, m.Value)
	}
	return s.Name + "{" + strings.Join(matchers, ",") + "}"
}
