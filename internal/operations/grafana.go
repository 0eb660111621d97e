package operations

import (
	"bytes"
	"encoding/json"
	"strings"
)

const (
	// schemaVersion is that of Grafana 12's classic dashboards, which later ones read.
	schemaVersion = 41
	columns       = 24
	statHeight    = 4
	panelHeight   = 8
)

type object = map[string]any

// DashboardJSON is the dashboard as Grafana reads it.
func DashboardJSON(rows []Row) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // queries compare
	enc.SetIndent("", "  ")
	err := enc.Encode(object{
		"title":         "quash",
		"uid":           "quash",
		"description":   "Revocations of SlashID tokens: whether they work, whose fault it is where they do not, and what the replicas have left.",
		"tags":          []string{"quash"},
		"schemaVersion": schemaVersion,
		"version":       1,
		"editable":      true,
		"graphTooltip":  1, // one cross-hair for all panels
		"refresh":       "30s",
		"timezone":      "browser",
		"time":          object{"from": "now-3h", "to": "now"},
		"templating":    object{"list": variables()},
		"annotations":   object{"list": []object{alertAnnotation()}},
		"links": []object{{
			"title": "Runbook", "type": "link", "icon": "doc", "targetBlank": true,
			"url": "https://github.com/quashdev/quash/blob/main/docs/operations.md",
		}},
		"panels": layOut(rows),
	})
	return out.Bytes(), err
}

// datasource is the one that is chosen at the top.
func datasource() object { return object{"type": "prometheus", "uid": "${datasource}"} }

func variables() []object {
	from := func(name, label, query string) object {
		return object{
			"name": name, "label": label, "type": "query", "datasource": datasource(),
			"query": object{"query": query, "refId": name}, "definition": query,
			"refresh": 2, "sort": 1, "multi": true, "includeAll": true,
			// Matches targets without the label, too.
			"allValue": ".*", "current": object{"text": []string{"All"}, "value": []string{"$__all"}},
		}
	}
	return []object{
		{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
		from("namespace", "Namespace", `label_values(quash_in_flight_limit, namespace)`),
		from("job", "Job", `label_values(quash_in_flight_limit{namespace=~"$namespace"}, job)`),
		from("instance", "Replica", `label_values(quash_in_flight_limit{namespace=~"$namespace",job=~"$job"}, instance)`),
	}
}

// alertAnnotation marks the time for which an alert fires.
func alertAnnotation() object {
	return object{
		"name": "Alerts", "datasource": datasource(), "enable": true, "iconColor": red,
		"expr":        selectors.Replace(`ALERTS{alertname=~"Quash.+",alertstate="firing",$jobs}`),
		"titleFormat": "{{alertname}}", "tagKeys": "severity",
	}
}

// layOut gives every panel its number and its place: row below row, and in a row from
// left to right, as far as there is room.
func layOut(rows []Row) []object {
	var all []object
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, row := range rows {
		all = append(all, object{
			"id": next(), "type": "row", "title": row.Title, "collapsed": false, "panels": []object{},
			"gridPos": place(0, y, columns, 1),
		})
		y++
		x, tallest := 0, 0
		for _, p := range row.Panels {
			if x+p.Width > columns {
				x, y, tallest = 0, y+tallest, 0
			}
			all = append(all, p.json(next(), place(x, y, p.Width, p.height())))
			x, tallest = x+p.Width, max(tallest, p.height())
		}
		y += tallest
	}
	return all
}

func place(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func (p Panel) height() int {
	if p.Kind == "stat" {
		return statHeight
	}
	return panelHeight
}

func (p Panel) json(id int, at object) object {
	targets := make([]object, len(p.Queries))
	for i, q := range p.Queries {
		targets[i] = object{
			"refId": string(rune('A' + i)), "datasource": datasource(),
			"expr": selectors.Replace(q.Expr), "legendFormat": q.Legend,
			"range": p.Kind != "stat", "instant": p.Kind == "stat",
		}
		if p.Kind == "heatmap" {
			targets[i]["format"] = "heatmap"
		}
	}
	return object{
		"id": id, "type": p.Kind, "title": p.Title, "description": p.Description,
		"gridPos": at, "datasource": datasource(), "targets": targets,
		"fieldConfig": object{"defaults": p.defaults(), "overrides": []object{}},
		"options":     p.options(),
	}
}

// defaults are how values are drawn.
func (p Panel) defaults() object {
	d := object{"unit": p.Unit}
	switch p.Kind {
	case "timeseries":
		d["min"] = 0
		d["custom"] = object{"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "stacking": object{"mode": "none"}}
		if p.Stacked {
			d["custom"] = object{"fillOpacity": 40, "lineWidth": 1, "showPoints": "never", "stacking": object{"mode": "normal", "group": "A"}}
		}
	case "stat":
		d["thresholds"] = object{"mode": "absolute", "steps": p.steps()}
		d["color"] = object{"mode": "thresholds"}
		d["noValue"] = "–"
	}
	return d
}

// steps are thresholds, of which Grafana wants the first without a value.
func (p Panel) steps() []object {
	if len(p.Steps) == 0 {
		return []object{{"color": "text", "value": nil}}
	}
	steps := make([]object, len(p.Steps))
	for i, s := range p.Steps {
		steps[i] = object{"color": s.Color, "value": s.From}
	}
	steps[0]["value"] = nil
	return steps
}

func (p Panel) options() object {
	switch p.Kind {
	case "stat":
		return object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"colorMode":     "value", "graphMode": "none", "textMode": "value",
		}
	case "heatmap":
		return object{
			"calculate": false, "yAxis": object{"unit": p.Unit},
			"color":   object{"mode": "scheme", "scheme": "Oranges", "steps": 64},
			"tooltip": object{"mode": "single", "yHistogram": false},
		}
	default:
		return object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	}
}

// Stand-ins for what Grafana fills in: all targets, and a range that holds a few
// scrapes.
var standIns = strings.NewReplacer(
	"$__rate_interval", "1m",
	"$namespace", ".*",
	"$job", ".*",
	"$instance", ".*",
)

// PromQL is the query as Prometheus can answer it.
func (q Query) PromQL() string { return standIns.Replace(selectors.Replace(q.Expr)) }
