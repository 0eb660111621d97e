package main

import (
	_ "embed"
	"errors"
	"html/template"
	"os"
	"runtime"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// writePage writes what came of a run as a page that needs nothing else: ghz's own loads
// its charts from three other hosts, and repeats the texts of errors.
func writePage(path string, r *result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pageTemplate.Execute(f, newPage(r)), f.Close())
}

// page is what page.html shows.
type page struct {
	Plan     plan
	Date     string
	Cores    int
	Failures []string
	Figures  [][2]string
	Statuses []status
	Bars     []bar
}

type status struct {
	Name  string
	Count int
}

// bar is a row of the histogram: how many calls took so long, and longer than the row
// before says.
type bar struct {
	UpTo  string
	Count int
	Width int // of the longest, in per cent
}

func newPage(r *result) page {
	p := page{
		Plan:    r.plan,
		Date:    r.report.Date.UTC().Format(time.RFC1123),
		Cores:   runtime.NumCPU(),
		Figures: r.report.figures(),
	}
	if r.verdict != nil {
		p.Failures = strings.Split(r.verdict.Error(), "\n")
	}
	for _, name := range r.report.statuses() {
		p.Statuses = append(p.Statuses, status{name, r.report.Statuses[name]})
	}
	most := 1
	for _, b := range r.report.Histogram {
		most = max(most, b.Count)
	}
	for _, b := range r.report.Histogram {
		upTo := time.Duration(b.Mark * float64(time.Second))
		p.Bars = append(p.Bars, bar{short(upTo), b.Count, 100 * b.Count / most})
	}
	return p
}
