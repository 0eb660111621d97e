package measure

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table is a table in Markdown whose columns are aligned, so that it also reads well on a
// terminal.
type Table struct {
	text strings.Builder
	rows *tabwriter.Writer
}

// NewTable begins a table. The cells of all columns but the first are numbers.
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
	_ = t.rows.Flush() // a strings.Builder takes everything
	return t.text.String()
}
