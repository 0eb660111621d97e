package chart

import (
	"strings"
	"testing"
)

// Invalid values fail before they reach the cluster. The error names the value and the
// reason.
func TestRefused(t *testing.T) {
	t.Parallel()
	// All missing values are reported together.
	const nothing = `{image: {repository: "", tag: ""}, upstream: {url: ""}, tls: {secretName: ""}}`
	for _, c := range []struct{ name, set, change, want string }{
		{"no image", "minimal", nothing, "image.repository is missing"},
		{"no tag", "minimal", nothing, "image.tag and image.digest are missing"},
		{"no upstream", "minimal", nothing, "upstream.url is missing"},
		{"no certificate", "minimal", nothing, "tls.secretName is missing: quash would serve plaintext"},
		{"plaintext upstream", "minimal", `upstream: {url: "http://slashid.example.org"}`, "upstream.url would send tokens in plaintext"},
		{"plaintext upstream whose name begins with localhost", "minimal", `upstream: {url: "http://localhost.example.org"}`, "upstream.url would send tokens in plaintext"},
		{"client certificates in plaintext", "mesh", `tls: {clientCA: {secretName: ca}}`, "tls.clientCA needs tls.secretName"},
		{"callers without certificates", "minimal", `tls: {allowedCallers: [billing.example.org]}`, "tls.allowedCallers needs tls.clientCA"},
		{"two lists of callers", "callers", `tls: {allowedCallersFrom: {configMapName: callers}}`, "tls.allowedCallers and tls.allowedCallersFrom are both set"},
		{"an empty list of callers", "callers", `tls: {allowedCallers: []}`, "/tls/allowedCallers"},
		{"a caller that is a comment", "callers", `tls: {allowedCallers: ["# a comment"]}`, "/tls/allowedCallers/0"},
		{"a label of the chart", "minimal", `podLabels: {app.kubernetes.io/name: other}`, "podLabels: app.kubernetes.io/name"},
		{"a flag of the chart", "minimal", `extraArgs: ["--drain-timeout=10m"]`, "extraArgs: the chart sets --drain-timeout itself"},
		{"a flag and its value as two arguments", "minimal", `extraArgs: [--idle-timeout, 1m]`, "/extraArgs/1"},
		{"a flag as an environment variable", "minimal", `extraEnv: [{name: QUASH_INSECURE, value: "true"}]`, "extraEnv: QUASH_INSECURE sets a flag"},
		{"a memory limit that is not a whole number", "minimal", `resources: {limits: {memory: 0.5Gi}}`, "resources.limits.memory must be a whole number"},
		{"too little memory for the calls", "minimal", `{maxInFlight: 20000, resources: {limits: {memory: 640Mi}}}`, "resources.limits.memory, 640Mi, is too low for maxInFlight: 20000 calls need 1040Mi"},
		{"autoscaling without a target", "minimal", `autoscaling: {cpuPercent: 0}`, "autoscaling has no target"},
		{"metrics that cannot be verified", "minimal", `{serviceMonitor: {enabled: true}, networkPolicy: {monitoring: [{podSelector: {}}]}}`, "serviceMonitor.tlsConfig is missing"},
		{"metrics that cannot be reached", "mesh", `networkPolicy: {monitoring: []}`, "networkPolicy.monitoring is empty"},
		{"a value that does not exist", "minimal", `tls: {secret: quash-tls}`, "additional properties 'secret'"},
		{"a word for a number", "minimal", `maxInFlight: many`, "/maxInFlight"},
		{"a port that needs a capability", "minimal", `ports: {http: 443}`, "/ports/http"},
		{"a URL without a scheme", "minimal", `upstream: {url: api.slashid.com}`, "/upstream/url"},
		{"an origin with a path", "minimal", `cors: {allowedOrigins: ["https://app.example.com/"]}`, "/cors/allowedOrigins/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := named(t, c.set)
			if _, err := render(t, v); err != nil {
				t.Fatalf("the unchanged values are rejected: %v", err)
			}
			if _, err := render(t, v.with(t, c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
