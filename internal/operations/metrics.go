package operations

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Label is a label of a metric. Where its values are quash's they are all here; nil
// means that they are somebody else's.
type Label struct {
	Name   string
	Values []string
}

// Metric is a metric as Prometheus sees it. A histogram has its name without the
// suffixes of its series.
type Metric struct {
	Name      string
	Histogram bool
	Labels    []Label
}

// Vocabulary is what queries may speak of.
type Vocabulary struct {
	metrics  []Metric
	recorded []string
}

// foreign are the metrics of client_golang, and of Prometheus itself.
var foreign = []Metric{
	{Name: "process_resident_memory_bytes"},
	{Name: "process_cpu_seconds_total"},
	{Name: "process_start_time_seconds"},
	{Name: "go_goroutines"},
	{Name: "go_memstats_heap_inuse_bytes"},
	{Name: "up"},
	{Name: "ALERTS", Labels: []Label{{Name: "alertname"}, {"alertstate", []string{"pending", "firing"}}, {Name: "severity"}}},
}

// targetLabels are those that Prometheus gives to every series of a target. Where
// there is no Kubernetes, namespace is empty.
var targetLabels = []string{"namespace", "job", "instance"}

// ReadVocabulary reads the reference of the metrics, which is made from a scrape of
// quash. rules are those that record series.
func ReadVocabulary(path string, rules []Rule) (*Vocabulary, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	v := &Vocabulary{metrics: slices.Clone(foreign)}
	for line := range strings.Lines(string(content)) {
		if m, ok := parseMetric(line); ok {
			v.metrics = append(v.metrics, m)
		}
	}
	if len(v.metrics) == len(foreign) {
		return nil, fmt.Errorf("%s: there is no metric in it", path)
	}
	for _, r := range rules {
		if r.Record != "" {
			v.recorded = append(v.recorded, r.Record)
		}
	}
	return v, nil
}

var (
	metricPattern = regexp.MustCompile("^\\| `(\\w+)` \\| (\\w+) \\| ([^|]*)\\|")
	labelPattern  = regexp.MustCompile("`(\\w+)`(?:: ([^;]+))?")
)

// parseMetric reads a line of the reference's table.
func parseMetric(line string) (Metric, bool) {
	cells := metricPattern.FindStringSubmatch(line)
	if cells == nil {
		return Metric{}, false
	}
	m := Metric{Name: cells[1], Histogram: cells[2] == "histogram"}
	for _, label := range labelPattern.FindAllStringSubmatch(cells[3], -1) {
		l := Label{Name: label[1]}
		if values := strings.TrimSpace(label[2]); values != "" {
			l.Values = strings.Split(values, ", ")
		}
		m.Labels = append(m.Labels, l)
	}
	return m, true
}

// find returns the metric that a series belongs to. What is recorded may have any
// label of what it is made of.
func (v *Vocabulary) find(series string) (Metric, bool) {
	for _, m := range v.metrics {
		if !m.Histogram && m.Name == series {
			return m, true
		}
		if m.Histogram && slices.Contains([]string{m.Name + "_bucket", m.Name + "_count", m.Name + "_sum"}, series) {
			return m, true
		}
	}
	if !slices.Contains(v.recorded, series) {
		return Metric{}, false
	}
	m := Metric{Name: series}
	for _, of := range v.metrics {
		for _, l := range of.Labels {
			m.add(l)
		}
	}
	return m, true
}

// add gives m a label, or the values of one that it has.
func (m *Metric) add(l Label) {
	for i := range m.Labels {
		if m.Labels[i].Name == l.Name {
			m.Labels[i].Values = slices.Concat(m.Labels[i].Values, l.Values)
			return
		}
	}
	m.Labels = append(m.Labels, l)
}
