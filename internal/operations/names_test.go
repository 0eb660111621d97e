package operations

import (
	"strings"
	"testing"
)

func TestCheckQuery(t *testing.T) {
	t.Parallel()
	v := vocabulary(t)
	for _, test := range []struct{ query, problem string }{
		{`sum by (job) (rate(quash_revocations_total{quash_reason!~"|CALLER_.+",quash_state="UNKNOWN"}[5m])) > 1e3`, ""},
		{`histogram_quantile(0.99, sum by (le) (rate(quash_consistency_wait_seconds_bucket[10m] offset 1h)))`, ""},
		{`quash:failed:ratio5m{job=~"a|b"} > 14.4 * 0.001 and on (namespace) up == 0`, ""},
		{`quash_in_flight / on (namespace, job, instance) quash_in_flight_limit`, ""},
		{`quash_in_flite`, "no metric quash_in_flite"},
		{`quash:failed:ratio6m`, "no metric quash:failed:ratio6m"},
		{`rate(quash_consistency_wait_seconds[5m])`, "no metric quash_consistency_wait_seconds"},
		{`quash_in_flight{quash_state="UNKNOWN"}`, "quash_in_flight has no label quash_state"},
		{`quash_breaker{quash_breaker_state="shut"}`, "is never shut"},
		{`quash_revocations_total{quash_reason=~"OVERLOADED|OVERLOAD"}`, "is never OVERLOAD"},
		{`quash_revocations_total{quash_reason=~"UPSTREAMS_.+"}`, "is never UPSTREAMS_.+"},
		{`sum by (quash_listener) (quash_in_flight)`, "no metric in it has the label quash_listener"},
	} {
		problems := strings.Join(v.Check(test.query), "; ")
		if test.problem == "" && problems != "" || !strings.Contains(problems, test.problem) {
			t.Errorf("%s: %q, want %q", test.query, problems, test.problem)
		}
	}
}
