package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	const (
		some    = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]},{"metric":{},"value":[1,"NaN"]}]}}`
		nothing = `{"status":"success","data":{"resultType":"vector","result":[]}}`
		nan     = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}`
	)
	for _, test := range []struct {
		body, without, want string
		fails               bool
	}{
		{some, "", "2 series", false},
		{nothing, "", "NO ANSWER", true},
		{nothing, "there was no yesterday", "there was no yesterday", false},
		{nan, "", "NO ANSWER", true},
	} {
		a, err := readAnswer(question{about: "a panel", query: "a_query", without: test.without}, []byte(test.body))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := report(&out, []answer{a}); (err != nil) != test.fails || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: %v\n%s", test.body, err, out.String())
		}
	}
	if _, err := readAnswer(question{}, []byte("<html>")); err == nil {
		t.Error("a page that is no answer was read as one")
	}
}

// Whatever is drawn or alerted on is asked for.
func TestReadQuestions(t *testing.T) {
	t.Chdir("../..")
	questions, err := readQuestions()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, q := range questions {
		all.WriteString(q.about + ": " + q.query + "\n")
	}
	for _, want := range []string{
		"Circuit breaker, {{quash_breaker_state}}: ",
		`QuashBreakerOpen, quash_breaker: quash_breaker{quash_breaker_state="closed"}`,
		"QuashTargetDown, up: up{}",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is not asked:\n%s", want, all.String())
		}
	}
	if strings.Contains(all.String(), "$") {
		t.Errorf("a question has something of Grafana's:\n%s", all.String())
	}
}
