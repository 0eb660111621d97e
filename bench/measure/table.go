package measure

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table is a Markdown table with aligned columns, so that it is also readable on a terminal.
type Table struct {
	text strings.Builder
	rows *tabwriter.Writer
}

// NewTable returns a table with a header. All columns except the first are right-aligned.
func NewTable(columns ...string) *Table {
	t := new(Table)
	t.rows = tabwriter.NewWriter(&t.text, 0, 0, 1, ' ', 0)
	t.Add(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0] = "---"
	t.Add(rule...)
	return t
}

// Add adds a row.
func (t *Table) Add(cells ...string) {
	_, _ = fmt.Fprintf(t.rows, "| %s\t|\n", strings.Join(cells, "\t| "))
}

// String returns the table.
func (t *Table) String() string {
	_ = t.rows.Flush() // writing to a strings.Builder does not fail
	return t.text.String()
}
