package chart

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	kubernetes "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const (
	chartDir  = "quash"
	namespace = "prod"
)

// values are what somebody gives the chart.
type values map[string]any

// parseValues reads YAML.
func parseValues(t *testing.T, text string) values {
	t.Helper()
	var v values
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatalf("values: %v\n%s", err, text)
	}
	return v
}

// with returns v, changed as the YAML says.
func (v values) with(t *testing.T, change string) values {
	t.Helper()
	return loader.MergeMaps(v, parseValues(t, change))
}

// named reads a set of testdata/values.
func named(t *testing.T, name string) values {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "values", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parseValues(t, string(text))
}

// eachSet runs test for every set of testdata/values.
func eachSet(t *testing.T, test func(t *testing.T, v values)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "values", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no values in testdata: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, named(t, name))
		})
	}
}

func load(t *testing.T) *chartv2.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns what each template becomes, or what is wrong with the values.
func render(t *testing.T, c *chartv2.Chart, v values) (map[string]string, error) {
	t.Helper()
	release := common.ReleaseOptions{Name: "blue", Namespace: namespace, IsInstall: true, Revision: 1}
	complete, err := util.ToRenderValues(c, v, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(t.Context(), c, complete)
}

// objects are what a release consists of.
type objects []runtime.Object

// strict decodes what is known to Kubernetes and to Prometheus' operator, and refuses
// fields that their types do not have, and fields that are there twice.
var strict = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{kubernetes.AddToScheme, monitoringv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

var (
	separator = regexp.MustCompile(`(?m)^---\n`)
	onlyNotes = regexp.MustCompile(`^(\s|#.*\n)*$`)
)

// install returns the objects of a release with values v.
func install(t *testing.T, v values) objects {
	t.Helper()
	return installChart(t, load(t), v)
}

func installChart(t *testing.T, c *chartv2.Chart, v values) (all objects) {
	t.Helper()
	rendered, err := render(t, c, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for _, document := range separator.Split(rendered[name], -1) {
			if onlyNotes.MatchString(document) {
				continue
			}
			object, _, err := strict.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, numbered(document))
			}
			all = append(all, object)
		}
	}
	return all
}

func numbered(text string) string {
	var b bytes.Buffer
	for i, line := range strings.Split(text, "\n") {
		fmt.Fprintf(&b, "%3d %s\n", i+1, line)
	}
	return b.String()
}

// every returns the objects of one type.
func every[T runtime.Object](all objects) (found []T) {
	for _, object := range all {
		if o, ok := object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// the returns the only object of its type.
func the[T runtime.Object](t *testing.T, all objects) T {
	t.Helper()
	found := every[T](all)
	if len(found) != 1 {
		t.Fatalf("%d objects of type %s, want one", len(found), reflect.TypeFor[T]())
	}
	return found[0]
}

// pod is what the Deployment makes.
func (all objects) pod(t *testing.T) corev1.PodTemplateSpec {
	t.Helper()
	return the[*appsv1.Deployment](t, all).Spec.Template
}

// container is quash's.
func (all objects) container(t *testing.T) corev1.Container {
	t.Helper()
	containers := all.pod(t).Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("%d containers, want one", len(containers))
	}
	return containers[0]
}

// argument returns the value of a flag of the command line, if it is there.
func argument(args []string, flag string) (value string, ok bool) {
	for _, arg := range args {
		if name, value, _ := strings.Cut(arg, "="); name == flag {
			return value, true
		}
	}
	return "", false
}
