package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The document that holds the last run, and the folder of its plots beside it.
const (
	document    = "docs/performance.md"
	plotsFolder = "performance"
)

// The generated part of the document is between these.
const (
	generatedBegins = "<!-- make bench writes from here -->\n"
	generatedEnds   = "<!-- to here -->\n"
)

// write keeps the report and the plots, and prints the tables.
func (r *report) write(o options, w io.Writer) error {
	text := "# quash beside others\n\n" + r.tables(".")
	fmt.Fprintf(w, "\n%s\n", text)
	if err := keep(filepath.Join(o.out, "report.md"), []byte(text)); err != nil {
		return err
	}
	for _, f := range r.plots() {
		svg, err := f.svg()
		if err != nil {
			return err
		}
		png, err := f.png()
		if err != nil {
			return err
		}
		if err := errors.Join(keep(filepath.Join(o.out, f.file+".svg"), svg), keep(filepath.Join(o.out, f.file+".png"), png)); err != nil {
			return err
		}
		if o.update {
			if err := keep(filepath.Join(filepath.Dir(document), plotsFolder, f.file+".svg"), svg); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(w, "See %s/report.md, and the plots beside it.\n", o.out)
	if !o.update {
		return nil
	}
	before, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	after, err := replaceGenerated(before, r.tables(plotsFolder))
	if err != nil {
		return err
	}
	return keep(document, after)
}

// replaceGenerated puts tables into the generated part of a document.
func replaceGenerated(document []byte, tables string) ([]byte, error) {
	before, rest, begins := bytes.Cut(document, []byte(generatedBegins))
	_, after, ends := bytes.Cut(rest, []byte(generatedEnds))
	if !begins || !ends {
		return nil, fmt.Errorf("the document has no line %q with a line %q after it",
			strings.TrimSpace(generatedBegins), strings.TrimSpace(generatedEnds))
	}
	return []byte(string(before) + generatedBegins + "\n" + tables + "\n" + generatedEnds + string(after)), nil
}

// keep writes a result, for everyone to read.
func keep(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as said
		return err
	}
	return os.WriteFile(path, content, 0o644) //nolint:gosec // as said
}
