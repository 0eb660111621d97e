package chart

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// mounted returns the volume that a file on the command line comes from.
func mounted(t *testing.T, all objects, file string) corev1.VolumeSource {
	t.Helper()
	for _, mount := range all.container(t).VolumeMounts {
		if mount.MountPath != path.Dir(file) {
			continue
		}
		if mount.SubPath != "" || mount.SubPathExpr != "" {
			t.Errorf("%s is mounted by subPath, and never changes", file)
		}
		if !mount.ReadOnly {
			t.Errorf("%s can be written to", file)
		}
		for _, volume := range all.pod(t).Spec.Volumes {
			if volume.Name == mount.Name {
				return volume.VolumeSource
			}
		}
	}
	t.Fatalf("nothing is mounted where %s should be", file)
	return corev1.VolumeSource{}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]map[string]string{
		"minimal": {
			"--tls-cert-file": "Secret quash-tls: tls.crt",
			"--tls-key-file":  "Secret quash-tls: tls.key",
		},
		"mesh": {
			"--upstream-api-key-file": "Secret slashid: token",
		},
		"callers": {
			"--upstream-api-key-file": "Secret slashid: api-key",
			"--tls-cert-file":         "Secret quash-tls: tls.crt",
			"--tls-key-file":          "Secret quash-tls: tls.key",
			"--tls-client-ca-file":    "Secret quash-tls: ca.crt",
			"--allowed-callers-file":  "ConfigMap blue-quash-allowed-callers: callers",
		},
		"everything": {
			"--upstream-ca-file":      "ConfigMap revoker-upstream-ca: ca.crt",
			"--upstream-api-key-file": "Secret slashid: quash",
			"--tls-cert-file":         "Secret quash-tls: tls.crt",
			"--tls-key-file":          "Secret quash-tls: tls.key",
			"--tls-client-ca-file":    "ConfigMap authorities: callers.pem",
			"--allowed-callers-file":  "ConfigMap callers: list",
		},
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			all := install(t, named(t, set))
			got := map[string]string{}
			for _, arg := range all.container(t).Args {
				flag, file, _ := strings.Cut(arg, "=")
				if !strings.HasSuffix(flag, "-file") {
					continue
				}
				switch source := mounted(t, all, file); {
				case source.Secret != nil:
					got[flag] = "Secret " + source.Secret.SecretName + ": " + path.Base(file)
				case source.ConfigMap != nil:
					got[flag] = "ConfigMap " + source.ConfigMap.Name + ": " + path.Base(file)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListOfCallers(t *testing.T) {
	t.Parallel()
	list := the[*corev1.ConfigMap](t, install(t, named(t, "callers"))).Data["callers"]
	want := "spiffe://example.org/ns/prod/sa/billing\nspiffe://example.org/ns/prod/sa/web-*\nsessions.example.org\n"
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// Pods are restarted for what quash does not read again, and for nothing else: a
// restart takes as long as the longest call.
func TestRestarts(t *testing.T) {
	t.Parallel()
	const ca = "upstream: {ca: \"-----BEGIN CERTIFICATE-----\\n%s\\n-----END CERTIFICATE-----\\n\"}"
	for name, c := range map[string]struct {
		change string
		want   bool
	}{
		"callers":          {`tls: {allowedCallers: [billing.example.org]}`, false},
		"number of pods":   {`autoscaling: {minReplicas: 5, maxReplicas: 50}`, false},
		"network policy":   {`networkPolicy: {callers: []}`, false},
		"authorities":      {strings.Replace(ca, "%s", "AAAA", 1), false},
		"log level":        {`log: {level: debug}`, true},
		"another upstream": {`upstream: {url: "https://api.sandbox.slashid.com"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := named(t, "callers").with(t, strings.Replace(ca, "%s", "BBBB", 1))
			diff := cmp.Diff(install(t, before).pod(t), install(t, before.with(t, c.change)).pod(t))
			if restarted := diff != ""; restarted != c.want {
				t.Errorf("pods are restarted: %v, want %v\n%s", restarted, c.want, diff)
			}
		})
	}
}

func TestNewChartAloneRestartsNothing(t *testing.T) {
	t.Parallel()
	c := load(t)
	before := installChart(t, c, named(t, "everything")).pod(t)
	c.Metadata.Version = "99.0.0"
	if diff := cmp.Diff(before, installChart(t, c, named(t, "everything")).pod(t)); diff != "" {
		t.Errorf("a new chart changes pods:\n%s", diff)
	}
}
