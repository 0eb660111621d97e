package chart

import (
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

// values are the chart's input.
type values map[string]any

// with returns v with the YAML change merged into it.
func (v values) with(t *testing.T, change string) values {
	t.Helper()
	var changes values
	if err := yaml.UnmarshalStrict([]byte(change), &changes); err != nil {
		t.Fatalf("values: %v\n%s", err, change)
	}
	return loader.MergeMaps(v, changes)
}

// named reads a file of testdata/values.
func named(t *testing.T, name string) values {
	t.Helper()
	return values{}.with(t, read(t, filepath.Join("testdata", "values", name+".yaml")))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// eachSet runs test for every file of testdata/values.
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

// render returns the output of each template, or an error that names the invalid values.
func render(t *testing.T, v values) (map[string]string, error) {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "blue", Namespace: namespace, IsInstall: true, Revision: 1}
	complete, err := util.ToRenderValues(c, v, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(t.Context(), c, complete)
}

// objects are the objects of a release.
type objects []runtime.Object

// strict decodes the types of Kubernetes and of the Prometheus operator. It rejects unknown
// and duplicate fields.
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
	noObject  = regexp.MustCompile(`^(\s|#.*\n)*$`)
)

// install returns the objects of a release with values v.
func install(t *testing.T, v values) (all objects) {
	t.Helper()
	rendered, err := render(t, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for _, document := range separator.Split(rendered[name], -1) {
			if noObject.MatchString(document) {
				continue
			}
			object, _, err := strict.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			all = append(all, object)
		}
	}
	return all
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

// pod returns the pod template of the Deployment.
func (all objects) pod(t *testing.T) corev1.PodTemplateSpec {
	t.Helper()
	return the[*appsv1.Deployment](t, all).Spec.Template
}

// container returns the container of quash.
func (all objects) container(t *testing.T) corev1.Container {
	t.Helper()
	containers := all.pod(t).Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("%d containers, want one", len(containers))
	}
	return containers[0]
}

// argument returns the value of a flag on the command line, if the flag is set.
func argument(args []string, flag string) (value string, ok bool) {
	for _, arg := range args {
		if name, value, _ := strings.Cut(arg, "="); name == flag {
			return value, true
		}
	}
	return "", false
}
