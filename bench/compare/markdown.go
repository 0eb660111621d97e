package main

import (
	"fmt"
	"strings"
	"time"
)

// table is one of Markdown.
type table struct {
	b strings.Builder
}

// newTable begins one. The first column is text, the others are numbers.
func newTable(columns ...string) *table {
	t := &table{}
	t.add(columns...)
	t.b.WriteString("| --- |" + strings.Repeat(" ---: |", len(columns)-1) + "\n")
	return t
}

func (t *table) add(cells ...string) {
	t.b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (t *table) String() string { return t.b.String() }

// megabytes tells of memory in units of 10^6 bytes.
func megabytes(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/1e6) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
