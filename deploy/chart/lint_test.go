package chart

import (
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
)

// As it is delivered: without the values that have to be given.
func TestLintBare(t *testing.T) {
	t.Parallel()
	checkLint(t, nil)
}

func TestLint(t *testing.T) {
	t.Parallel()
	eachSet(t, checkLint)
}

func checkLint(t *testing.T, v values) {
	t.Helper()
	result := lint.RunAll(chartDir, v, namespace)
	for _, message := range result.Messages {
		if message.Severity >= support.WarningSev {
			t.Error(message)
		}
	}
}
