package main

import (
	"fmt"
	"strconv"
	"strings"
)

// outcomesDoc is the outcome table as callers are given it.
const outcomesDoc = "docs/outcomes.md"

// outcome is a failing row of it: what each door says.
type outcome struct {
	code           string // of gRPC
	reason, state  string
	native, dropIn int // HTTP statuses
}

// readOutcomes finds the failures in the document.
func readOutcomes(markdown string) ([]outcome, error) {
	var table []outcome
	for line := range strings.Lines(markdown) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 8 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		row := outcome{code: cells[1], reason: cells[2], state: cells[3]}
		var badNative, badDropIn error
		row.native, badNative = strconv.Atoi(cells[5])
		row.dropIn, badDropIn = strconv.Atoi(cells[6])
		if badNative != nil || badDropIn != nil || row.code == "OK" {
			continue // a heading, or a success
		}
		table = append(table, row)
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("there is no table of outcomes in %s", outcomesDoc)
	}
	return table, nil
}

// allows reports whether some row leads to the answer. Its state may be that of the
// row, or what a whole call makes of it.
func allows(table []outcome, a answer) bool {
	for _, row := range table {
		if row.reason != a.reason || !a.mayBe(row) {
			continue
		}
		switch a.state {
		case row.state:
			return true
		case stateUnknown, stateNotApplied:
			if row.state != stateInProgress {
				return true
			}
		}
	}
	return false
}

// mayBe reports whether the answer's door says row in that way.
func (a answer) mayBe(row outcome) bool {
	switch a.door {
	case overGRPC:
		return a.code == row.code
	case overNative:
		return a.code == row.code && a.status == row.native
	default:
		return a.status == row.dropIn
	}
}
