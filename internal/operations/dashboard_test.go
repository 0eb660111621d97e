package operations

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the dashboard instead of checking it")

// The dashboard is written from Dashboard.
func TestDashboardDoc(t *testing.T) {
	t.Parallel()
	want, err := DashboardJSON(Dashboard())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(inRoot(DashboardFile), want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(inRoot(DashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is stale; make docs writes it anew", DashboardFile)
	}
}

// Grafana loads panels that lie on one another, and shows one of them.
func TestPanelsHavePlaces(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(inRoot(DashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID    int    `json:"id"`
			Title string `json:"title"`
			At    struct {
				X int `json:"x"`
				Y int `json:"y"`
				W int `json:"w"`
				H int `json:"h"`
			} `json:"gridPos"` //nolint:tagliatelle // Grafana's
		} `json:"panels"`
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 30 {
		t.Errorf("there are %d panels; were they read?", len(dashboard.Panels))
	}
	type cell struct{ x, y int }
	taken, ids := map[cell]string{}, map[int]string{}
	for _, p := range dashboard.Panels {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%q and %q have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if p.At.W < 1 || p.At.H < 1 || p.At.X+p.At.W > columns {
			t.Errorf("%q does not fit: %+v", p.Title, p.At)
		}
		for x := p.At.X; x < p.At.X+p.At.W; x++ {
			for y := p.At.Y; y < p.At.Y+p.At.H; y++ {
				if other, ok := taken[cell{x, y}]; ok {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[cell{x, y}] = p.Title
			}
		}
	}
}

func TestPanelsExplainThemselves(t *testing.T) {
	t.Parallel()
	titles := map[string]bool{}
	for _, row := range Dashboard() {
		for _, p := range row.Panels {
			if titles[p.Title] {
				t.Errorf("two panels are called %q", p.Title)
			}
			titles[p.Title] = true
			if len(p.Description) < 40 || p.Unit == "" || len(p.Queries) == 0 {
				t.Errorf("%q lacks a description, a unit or a query", p.Title)
			}
		}
	}
}

func TestDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	v := vocabulary(t)
	for _, row := range Dashboard() {
		for _, p := range row.Panels {
			for _, q := range p.Queries {
				for _, problem := range v.Check(q.PromQL()) {
					t.Errorf("%q: %s", p.Title, problem)
				}
			}
		}
	}
}
