package chart

import (
	"cmp"
	"strings"
	"testing"
)

// Wrong values are refused before they reach the cluster, with the value and the reason.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to     string // the set of values to change, minimal by default
		change string
		want   []string
	}{
		"nothing": {
			change: `{image: {repository: "", tag: ""}, upstream: {url: ""}, tls: {secretName: ""}}`,
			want:   []string{"image.repository is missing", "image.tag is missing", "upstream.url is missing", "tls.secretName is missing: quash would serve plaintext"},
		},
		"plaintext upstream": {
			change: `upstream: {url: "http://slashid.example.org"}`,
			want:   []string{"upstream.url would send tokens in plaintext"},
		},
		"plaintext upstream that begins like this machine": {
			change: `upstream: {url: "http://localhost.example.org"}`,
			want:   []string{"upstream.url would send tokens in plaintext"},
		},
		"client certificates in plaintext": {
			to: "mesh", change: `tls: {clientCA: {secretName: ca}}`,
			want: []string{"tls.clientCA needs tls.secretName"},
		},
		"callers without certificates": {
			change: `tls: {allowedCallers: [billing.example.org]}`,
			want:   []string{"tls.allowedCallers needs tls.clientCA"},
		},
		"two lists of callers": {
			to: "callers", change: `tls: {allowedCallersFrom: {configMapName: callers}}`,
			want: []string{"two lists"},
		},
		"an empty list of callers": {
			to: "callers", change: `tls: {allowedCallers: []}`,
			want: []string{"/tls/allowedCallers", "minItems"},
		},
		"a caller that is a comment": {
			to: "callers", change: `tls: {allowedCallers: ["# a comment"]}`,
			want: []string{"/tls/allowedCallers/0", "pattern"},
		},
		"labels of the chart's": {
			change: `podLabels: {app.kubernetes.io/name: other}`,
			want:   []string{"podLabels: app.kubernetes.io/name"},
		},
		"a flag of the chart's": {
			change: `extraArgs: ["--drain-timeout=10m"]`,
			want:   []string{"extraArgs: --drain-timeout has a value of its own"},
		},
		"a flag with its value apart": {
			change: `extraArgs: [--idle-timeout, 1m]`,
			want:   []string{"/extraArgs/1", "pattern"},
		},
		"a flag by its variable": {
			change: `extraEnv: [{name: QUASH_INSECURE, value: "true"}]`,
			want:   []string{"extraEnv: QUASH_INSECURE is a flag"},
		},
		"a limit of memory that cannot be computed with": {
			change: `resources: {limits: {memory: 0.5Gi}}`,
			want:   []string{"resources.limits.memory must be a whole number", "0.5Gi"},
		},
		"more calls than memory": {
			change: `{maxInFlight: 20000, resources: {limits: {memory: 640Mi}}}`,
			want:   []string{"resources.limits.memory, 640Mi, has no room for maxInFlight: 20000 calls need 1040Mi"},
		},
		"autoscaling by nothing": {
			change: `autoscaling: {cpuPercent: 0}`,
			want:   []string{"autoscaling has nothing to go by"},
		},
		"metrics that cannot be verified": {
			change: `{serviceMonitor: {enabled: true}, networkPolicy: {monitoring: [{podSelector: {}}]}}`,
			want:   []string{"serviceMonitor.tlsConfig is missing"},
		},
		"metrics that cannot be reached": {
			to: "mesh", change: `networkPolicy: {monitoring: []}`,
			want: []string{"networkPolicy.monitoring is empty"},
		},
		"a value that does not exist": {
			change: `tls: {secret: quash-tls}`,
			want:   []string{"/tls", "additional properties 'secret'"},
		},
		"a number in words": {
			change: `maxInFlight: many`,
			want:   []string{"/maxInFlight", "want integer"},
		},
		"a port that takes a capability": {
			change: `ports: {http: 443}`,
			want:   []string{"/ports/http", "minimum"},
		},
		"a URL without a scheme": {
			change: `upstream: {url: api.slashid.com}`,
			want:   []string{"/upstream/url", "pattern"},
		},
		"an origin with a path": {
			change: `cors: {allowedOrigins: ["https://app.example.com/"]}`,
			want:   []string{"/cors/allowedOrigins/0", "pattern"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := named(t, cmp.Or(c.to, "minimal"))
			if _, err := render(t, v); err != nil {
				t.Fatalf("the unchanged values are refused: %v", err)
			}
			_, err := render(t, v.with(t, c.change))
			if err == nil {
				t.Fatal("it is rendered")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error without %q: %v", want, err)
				}
			}
		})
	}
}
