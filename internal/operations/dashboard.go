package operations

import "strings"

// Row is a heading of the dashboard, and what is below it.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is one picture. Its description says what is normal, and what to do when it
// is not.
type Panel struct {
	Title, Description string
	// Kind is stat, timeseries or heatmap.
	Kind string
	// Unit is one of Grafana's.
	Unit string
	// Width is in Grafana's columns, of which there are 24.
	Width   int
	Queries []Query
	// Stacked adds the series up.
	Stacked bool
	// Steps colour a stat, lowest first; without them it has none.
	Steps []Step
}

// Query is a PromQL query and what its series are called.
type Query struct{ Expr, Legend string }

// Step is the colour from a value on.
type Step struct {
	From  float64
	Color string
}

// Queries below say $targets where they want the targets that are chosen, and $jobs
// for what is recorded of all replicas together.
var selectors = strings.NewReplacer(
	"$targets", `namespace=~"$namespace",job=~"$job",instance=~"$instance"`,
	"$jobs", `namespace=~"$namespace",job=~"$job"`,
)

const (
	red, orange, green = "red", "orange", "green"

	// What spends the error budget, and whose fault it is, in the words of the rules.
	callersFault = `CALLER_.+|DEADLINE_TOO_SHORT|INVALID_REQUEST|TOKEN_REJECTED`
	quashsFault  = `INTERNAL|OVERLOADED|SHUTTING_DOWN|UPSTREAM_CREDENTIAL_REJECTED`
	slashidFault = `CONSISTENCY_TIMEOUT|UPSTREAM_CIRCUIT_OPEN|UPSTREAM_RATE_LIMITED|UPSTREAM_TIMEOUT|UPSTREAM_UNAVAILABLE|UPSTREAM_UNEXPECTED_RESPONSE|UPSTREAM_UNREACHABLE`
)

// Dashboard is what the dashboard shows, from the question that is asked first to the
// one that is asked last.
func Dashboard() []Row {
	return []Row{
		{"Is it fine", isItFine()},
		{"Whose fault", whoseFault()},
		{"Waiting for consistency", waiting()},
		{"SlashID", upstream()},
		{"Capacity of the replicas", capacity()},
		{"Listeners", listeners()},
		{"Files and versions", files()},
	}
}

func isItFine() []Panel {
	return []Panel{
		{
			Title: "Success", Kind: "stat", Unit: "percentunit", Width: 4,
			Description: "Of the calls for which quash, SlashID and the network answer, the share that did not fail in the last five minutes. " +
				"Normal: 99.9 % and more. Below: \"Whose fault\" says which reason. Needs the recording rules.",
			Queries: []Query{{`1 - sum(quash:revocations_failed:increase5m{$jobs}) / sum(quash:revocations_eligible:increase5m{$jobs})`, "success"}},
			Steps:   []Step{{0, red}, {0.99, orange}, {0.999, green}},
		},
		{
			Title: "Error budget left", Kind: "stat", Unit: "percentunit", Width: 4,
			Description: "Of the 0.1 % of calls that may fail in 30 days, what is left, where it is least. " +
				"Normal: more than half. Below 0 the objective is missed: change less, mend more. Needs the recording rules.",
			Queries: []Query{{`min(quash:error_budget_left:ratio30d{$jobs})`, "left"}},
			Steps:   []Step{{-1e3, red}, {0, orange}, {0.5, green}},
		},
		{
			Title: "Unknown in the last hour", Kind: "stat", Unit: "short", Width: 4,
			Description: "Calls after which nobody knows whether the token is dead, but for those whose callers went away. " +
				"Normal: none. Otherwise have their callers repeat them with allow_invalid.",
			Queries: []Query{{`sum(increase(quash_revocations_total{$targets,quash_state="UNKNOWN",quash_reason!="CALLER_CANCELLED"}[1h]))`, "unknown"}},
			Steps:   []Step{{0, green}, {1, orange}, {10, red}},
		},
		{
			Title: "Calls", Kind: "stat", Unit: "reqps", Width: 4,
			Description: "Calls of Revoke over all doors. Normal is yours to know; none at all may be a load balancer's fault.",
			Queries:     []Query{{`sum(rate(quash_revocations_total{$targets}[$__rate_interval]))`, "calls"}},
		},
		{
			Title: "Replicas", Kind: "stat", Unit: "short", Width: 4,
			Description: "Replicas that answer Prometheus. Normal: as many as were asked for. Fewer: look whether they start, and at /readyz of their admin listeners.",
			Queries:     []Query{{`count(quash_in_flight_limit{$targets})`, "replicas"}},
			Steps:       []Step{{0, red}, {1, orange}, {2, green}},
		},
		{
			Title: "Alerts", Kind: "stat", Unit: "short", Width: 4,
			Description: "Alerts of quash that fire. Each has a section in the runbook.",
			Queries:     []Query{{`count(ALERTS{alertname=~"Quash.+",alertstate="firing",$jobs}) or vector(0)`, "alerts"}},
			Steps:       []Step{{0, green}, {1, orange}, {3, red}},
		},
		{
			Title: "Calls by outcome", Kind: "timeseries", Unit: "reqps", Width: 12, Stacked: true,
			Description: "What callers were told: a token revoked, one that was dead already, or a failure. Normal: REVOKED above all.",
			Queries: []Query{
				{`sum by (quash_outcome) (rate(quash_revocations_total{$targets,quash_outcome!=""}[$__rate_interval]))`, "{{quash_outcome}}"},
				{`sum(rate(quash_revocations_total{$targets,quash_reason!=""}[$__rate_interval]))`, "failed, for whatever reason"},
			},
		},
		{
			Title: "How fast the error budget burns", Kind: "timeseries", Unit: "short", Width: 6,
			Description: "1 is as fast as it may be for ever. From 14.4 on it pages within the hour, from 6 within six. Needs the recording rules.",
			Queries: []Query{
				{`max(quash:failed:ratio5m{$jobs}) / 0.001`, "over 5 minutes"},
				{`max(quash:failed:ratio1h{$jobs}) / 0.001`, "over an hour"},
				{`max(quash:failed:ratio6h{$jobs}) / 0.001`, "over six hours"},
			},
		},
		{
			Title: "How long callers wait", Kind: "timeseries", Unit: "s", Width: 6,
			Description: "From request to answer, all doors together. Normal: little above SlashID's own time, see \"Waiting for consistency\". " +
				"Where that is short and this is long, quash is short of CPU.",
			Queries: []Query{
				{`histogram_quantile(0.5, sum by (le) (rate(rpc_server_call_duration_seconds_bucket{$targets}[$__rate_interval])))`, "half of them"},
				{`histogram_quantile(0.99, sum by (le) (rate(rpc_server_call_duration_seconds_bucket{$targets}[$__rate_interval])))`, "99 of 100"},
			},
		},
	}
}

func whoseFault() []Panel {
	return []Panel{
		{
			Title: "Failures by fault", Kind: "timeseries", Unit: "reqps", Width: 8, Stacked: true,
			Description: "Callers' do not spend the error budget: a rise is one caller's change, and the log names it. " +
				"SlashID's, or the network's: look at \"SlashID\" below, then at its status page. quash's: its key, its capacity, or a defect.",
			Queries: []Query{
				{`sum(rate(quash_revocations_total{$targets,quash_reason=~"` + callersFault + `"}[$__rate_interval]))`, "callers"},
				{`sum(rate(quash_revocations_total{$targets,quash_reason=~"` + slashidFault + `"}[$__rate_interval]))`, "SlashID and the way to it"},
				{`sum(rate(quash_revocations_total{$targets,quash_reason=~"` + quashsFault + `"}[$__rate_interval]))`, "quash"},
			},
		},
		{
			Title: "Failures by reason", Kind: "timeseries", Unit: "reqps", Width: 8, Stacked: true,
			Description: "The reasons that callers were given; docs/outcomes.md explains each. Normal: some TOKEN_REJECTED, and few others.",
			Queries:     []Query{{`sum by (quash_reason) (rate(quash_revocations_total{$targets,quash_reason!=""}[$__rate_interval])) > 0`, "{{quash_reason}}"}},
		},
		{
			Title: "Failures by state", Kind: "timeseries", Unit: "reqps", Width: 8, Stacked: true,
			Description: "Whether the token is dead: NOT_APPLIED is certain and harmless, IN_PROGRESS comes to its end by itself, " +
				"UNKNOWN is what has to be repeated. Normal: no UNKNOWN.",
			Queries: []Query{{`sum by (quash_state) (rate(quash_revocations_total{$targets,quash_state!=""}[$__rate_interval]))`, "{{quash_state}}"}},
		},
		{
			Title: "Calls by door", Kind: "timeseries", Unit: "reqps", Width: 8, Stacked: true,
			Description: "gRPC, quash's own REST form (native), and SlashID's (drop_in). A door that falls to nothing has lost its route.",
			Queries:     []Query{{`sum by (quash_door) (rate(quash_revocations_total{$targets}[$__rate_interval]))`, "{{quash_door}}"}},
		},
		{
			Title: "Share that failed, by replica", Kind: "timeseries", Unit: "percentunit", Width: 8,
			Description: "All alike: it is not the replicas. One alone: its network or its files; take it out, and keep its log.",
			Queries: []Query{{
				`sum by (instance) (rate(quash_revocations_total{$targets,quash_reason!=""}[$__rate_interval])) / sum by (instance) (rate(quash_revocations_total{$targets}[$__rate_interval]))`,
				"{{instance}}",
			}},
		},
		{
			Title: "Tokens that SlashID rejects", Kind: "timeseries", Unit: "percentunit", Width: 8,
			Description: "Of the tokens that SlashID had a look at, those it would not have: expired, revoked before, or of another environment. " +
				"Normal: what it was yesterday. A jump after a deployment: quash, key and callers are not of one environment. Needs the recording rules.",
			Queries: []Query{
				{`sum(quash:attempts_rejected:increase5m{$jobs}) / sum(quash:attempts_judged:increase5m{$jobs})`, "now"},
				{`sum(quash:attempts_rejected:increase5m{$jobs} offset 1d) / sum(quash:attempts_judged:increase5m{$jobs} offset 1d)`, "a day before"},
			},
		},
	}
}

func waiting() []Panel {
	return []Panel{
		{
			Title: "How long SlashID takes", Kind: "heatmap", Unit: "s", Width: 12,
			Description: "From the request to the consistency asked for, or to SlashID's word that it has not been reached. " +
				"Normal: a band for each level. A line at a round number of seconds is the timeout of some caller.",
			Queries: []Query{{`sum by (le) (increase(quash_consistency_wait_seconds_bucket{$targets}[$__rate_interval]))`, "{{le}}"}},
		},
		{
			Title: "How long SlashID takes, by level", Kind: "timeseries", Unit: "s", Width: 12,
			Description: "Normal: LOCAL_REGION well below a second, ALL_REGIONS as long as replication takes. A rise of both: SlashID. Of ALL_REGIONS alone: one of its regions.",
			Queries: []Query{
				{`histogram_quantile(0.5, sum by (le, quash_consistency) (rate(quash_consistency_wait_seconds_bucket{$targets}[$__rate_interval])))`, "{{quash_consistency}}, half of them"},
				{`histogram_quantile(0.99, sum by (le, quash_consistency) (rate(quash_consistency_wait_seconds_bucket{$targets}[$__rate_interval])))`, "{{quash_consistency}}, 99 of 100"},
			},
		},
		{
			Title: "Not in time", Kind: "timeseries", Unit: "percentunit", Width: 12,
			Description: "The share of SlashID's answers that were a 408: accepted, but later than the caller gave it. Normal: hardly any for LOCAL_REGION. " +
				"Tokens live on in some region meanwhile.",
			Queries: []Query{{
				`sum by (quash_consistency) (rate(quash_consistency_wait_seconds_count{$targets,quash_result!="Revoked"}[$__rate_interval]))` +
					` / sum by (quash_consistency) (rate(quash_consistency_wait_seconds_count{$targets}[$__rate_interval]))`,
				"{{quash_consistency}}",
			}},
		},
		{
			Title: "Callers that did not wait", Kind: "timeseries", Unit: "reqps", Width: 12,
			Description: "Calls that were given up: their revocations go on, and nobody is told. Normal: few. More: callers have less patience than SlashID needs.",
			Queries: []Query{
				{`sum by (quash_state) (rate(quash_revocations_total{$targets,quash_reason="CALLER_CANCELLED"}[$__rate_interval]))`, "{{quash_state}}"},
			},
		},
	}
}

func upstream() []Panel {
	return []Panel{
		{
			Title: "Attempts by result", Kind: "timeseries", Unit: "reqps", Width: 12, Stacked: true,
			Description: "What each attempt came to, whatever the caller was told after the last one. Normal: Revoked. NotConnected: DNS, network, TLS. " +
				"ConnectionLost and NoAnswer: the way, or SlashID. Unavailable: SlashID's 5xx. Unexpected: something else answers.",
			Queries: []Query{{`sum by (quash_result) (rate(quash_upstream_attempts_total{$targets}[$__rate_interval])) > 0`, "{{quash_result}}"}},
		},
		{
			Title: "Attempts for a call", Kind: "timeseries", Unit: "short", Width: 6,
			Description: "Normal: a little below 1, since some calls are refused unsent. Above: quash tries again, and hides failures from callers.",
			Queries: []Query{{
				`sum(rate(quash_upstream_attempts_total{$targets}[$__rate_interval])) / sum(rate(quash_revocations_total{$targets}[$__rate_interval]))`, "attempts",
			}},
		},
		{
			Title: "Circuit breaker", Kind: "timeseries", Unit: "short", Width: 6, Stacked: true,
			Description: "Replicas by the state of their breaker. Normal: all closed. Open: at least half of the attempts of ten seconds failed, and calls are refused unsent.",
			Queries:     []Query{{`sum by (quash_breaker_state) (quash_breaker{$targets})`, "{{quash_breaker_state}}"}},
		},
		{
			Title: "Requests by status", Kind: "timeseries", Unit: "reqps", Width: 8, Stacked: true,
			Description: "HTTP statuses of SlashID, or of a proxy before it; none where there was no answer. Normal: 204, and some 400.",
			Queries:     []Query{{`sum by (http_response_status_code) (rate(http_client_request_duration_seconds_count{$targets}[$__rate_interval]))`, "{{http_response_status_code}}"}},
		},
		{
			Title: "How long requests take, by status", Kind: "timeseries", Unit: "s", Width: 8,
			Description: "99 of 100 are faster. A 4xx needs no consistency, so it shows the way to SlashID and back: where it is slow too, it is the network or SlashID's front.",
			Queries: []Query{{
				`histogram_quantile(0.99, sum by (le, http_response_status_code) (rate(http_client_request_duration_seconds_bucket{$targets}[$__rate_interval])))`,
				"{{http_response_status_code}}",
			}},
		},
		{
			Title: "Connections to SlashID", Kind: "timeseries", Unit: "short", Width: 8,
			Description: "Open connections, and the requests on them. Over HTTP/2 many share one; as many connections as requests is HTTP/1.1. " +
				"Normal: few new ones. Failed ones: DNS, routes, firewalls.",
			Queries: []Query{
				{`sum(quash_upstream_connections{$targets})`, "connections"},
				{`sum(quash_upstream_streams{$targets})`, "requests on them"},
				{`sum by (quash_dial_result) (rate(quash_upstream_connections_opened_total{$targets}[$__rate_interval]))`, "{{quash_dial_result}}, a second"},
			},
		},
	}
}

func capacity() []Panel {
	return []Panel{
		{
			Title: "In flight", Kind: "timeseries", Unit: "short", Width: 8,
			Description: "Revocations in progress at the fullest replica, and how many may be. Near the limit: more replicas, or SlashID is slow. Beyond it calls are refused.",
			Queries: []Query{
				{`max(quash_in_flight{$targets})`, "in flight"},
				{`min(quash_in_flight_limit{$targets})`, "limit"},
			},
		},
		{
			Title: "Without a caller", Kind: "timeseries", Unit: "short", Width: 8,
			Description: "Revocations that go on after their callers have gone. Normal: few. They take places in flight, and shutdown waits for them.",
			Queries:     []Query{{`sum by (instance) (quash_background_revocations{$targets})`, "{{instance}}"}},
		},
		{
			Title: "The oldest without a caller", Kind: "timeseries", Unit: "s", Width: 8,
			Description: "Normal: less than 130 s, which is what one attempt may take. Longer for minutes: SlashID hangs, or a defect.",
			Queries:     []Query{{`max by (instance) (quash_background_oldest_seconds{$targets})`, "{{instance}}"}},
		},
		{
			Title: "Late outcomes", Kind: "timeseries", Unit: "reqps", Width: 6, Stacked: true,
			Description: "What became of them, which only metrics and log are told. Normal: REVOKED.",
			Queries:     []Query{{`sum by (quash_outcome, quash_reason) (rate(quash_background_outcomes_total{$targets}[$__rate_interval]))`, "{{quash_outcome}}{{quash_reason}}"}},
		},
		{
			Title: "CPU", Kind: "timeseries", Unit: "short", Width: 6,
			Description: "Cores in use. Normal: follows the calls. Without them: take a profile.",
			Queries:     []Query{{`rate(process_cpu_seconds_total{$targets}[$__rate_interval])`, "{{instance}}"}},
		},
		{
			Title: "Memory", Kind: "timeseries", Unit: "bytes", Width: 6,
			Description: "Resident, and Go's heap within. Normal: follows calls in flight and connections, and comes back. A line that only rises is a leak: take a heap profile before the restart.",
			Queries: []Query{
				{`process_resident_memory_bytes{$targets}`, "{{instance}}, resident"},
				{`go_memstats_heap_inuse_bytes{$targets}`, "{{instance}}, heap"},
			},
		},
		{
			Title: "Goroutines", Kind: "timeseries", Unit: "short", Width: 6,
			Description: "Normal: some for each connection and call in flight. A line that only rises is a leak: take a goroutine profile before the restart.",
			Queries:     []Query{{`go_goroutines{$targets}`, "{{instance}}"}},
		},
	}
}

func listeners() []Panel {
	return []Panel{
		{
			Title: "Connections", Kind: "timeseries", Unit: "short", Width: 8,
			Description: "Connections of callers, by listener. Normal: steady for gRPC. A saw: clients that do not reuse theirs.",
			Queries:     []Query{{`sum by (quash_listener) (quash_server_connections{$targets})`, "{{quash_listener}}"}},
		},
		{
			Title: "Connections of what may be", Kind: "timeseries", Unit: "percentunit", Width: 8,
			Description: "At the fullest replica. At 100 % new connections wait. Look who has so many.",
			Queries: []Query{{
				`max by (quash_listener) (quash_server_connections{$targets} / on (namespace, job, instance, quash_listener) quash_server_connections_limit{$targets})`,
				"{{quash_listener}}",
			}},
		},
		{
			Title: "Requests that never arrived whole", Kind: "timeseries", Unit: "reqps", Width: 8,
			Description: "Given up because they were too slow, or too many at once. Normal: none. Look for one client, or a bad network.",
			Queries:     []Query{{`sum by (instance) (rate(quash_arrivals_given_up_total{$targets}[$__rate_interval]))`, "{{instance}}"}},
		},
	}
}

func files() []Panel {
	return []Panel{
		{
			Title: "The certificate expires in", Kind: "stat", Unit: "s", Width: 4,
			Description: "The soonest of all replicas. Normal: it is renewed long before, be it for a year or an hour. Empty without TLS.",
			Queries:     []Query{{`min(quash_tls_certificate_expiry_timestamp_seconds{$targets}) - time()`, "left"}},
		},
		{
			Title: "Files that cannot be used", Kind: "timeseries", Unit: "short", Width: 7,
			Description: "Replicas that go on with what a file held before. Normal: 0. The log says what is wrong with it; a restart would end quash. Empty where no file is watched.",
			Queries:     []Query{{`sum by (quash_file) (quash_reload_failing{$targets})`, "{{quash_file}}"}},
		},
		{
			Title: "Files that changed", Kind: "timeseries", Unit: "short", Width: 7,
			Description: "Each rotation shows once for every replica. A replica that is missing has not seen it. Empty where no file is watched.",
			Queries:     []Query{{`sum by (quash_file, quash_reload_result) (increase(quash_reloads_total{$targets}[$__rate_interval]))`, "{{quash_file}} {{quash_reload_result}}"}},
		},
		{
			Title: "Versions", Kind: "timeseries", Unit: "short", Width: 6, Stacked: true,
			Description: "Replicas by version. Normal: one, and two during a deployment.",
			Queries:     []Query{{`count by (service_version) (target_info{$targets,service_name="quash"})`, "{{service_version}}"}},
		},
	}
}
