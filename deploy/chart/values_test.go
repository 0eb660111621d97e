package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// documented reads values.yaml with its comments.
func documented(t *testing.T) *yaml.Node {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// Every value says what it is for, or stands directly below one that says it.
func TestValuesHaveComments(t *testing.T) {
	t.Parallel()
	lines := 0
	var check func(path string, mapping *yaml.Node, explained bool)
	check = func(path string, mapping *yaml.Node, explained bool) {
		above := explained
		for i := 0; i < len(mapping.Content); i += 2 {
			key, value := mapping.Content[i], mapping.Content[i+1]
			name := strings.TrimPrefix(path+"."+key.Value, ".")
			own := key.HeadComment != ""
			// One comment may be for several values in a row.
			adjacent := i > 0 && above && key.Line == mapping.Content[i-2].Line+1
			if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
				check(name, value, own || explained)
			} else if lines++; !own && !explained && !adjacent {
				t.Errorf("%s has no comment", name)
			}
			above = own || adjacent
		}
	}
	check("", documented(t), false)
	if lines < 50 {
		t.Errorf("%d values were looked at, which cannot be all", lines)
	}
}

// The schema knows the values there are, and no others; that it knows all of them is
// what rendering without any change shows.
func TestSchemaDescribesTheValues(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Properties map[string]*schema `json:"properties"`
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var check func(path string, s *schema, value *yaml.Node)
	check = func(path string, s *schema, value *yaml.Node) {
		known := map[string]*yaml.Node{}
		for i := 0; i+1 < len(value.Content) && value.Kind == yaml.MappingNode; i += 2 {
			known[value.Content[i].Value] = value.Content[i+1]
		}
		for name, property := range s.Properties {
			switch below, ok := known[name]; {
			case ok:
				check(path+"/"+name, property, below)
			case path != "" || name != "global": // which is Helm's
				t.Errorf("%s/%s is in the schema alone", path, name)
			}
		}
	}
	check("", &root, documented(t))
}
