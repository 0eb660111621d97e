package main

import (
	"fmt"
	"io"
)

// report prints each answer, and fails when one is missing that should be there. An
// answer of NaN alone is none: it is what a quotient of nothings is.
func report(w io.Writer, answers []answer) error {
	missing := 0
	for _, a := range answers {
		switch {
		case a.numbers > 0:
			fmt.Fprintf(w, "%4d series  %s\n", a.series, a.about)
		case a.without != "":
			fmt.Fprintf(w, "   –         %s: %s\n", a.about, a.without)
		default:
			missing++
			fmt.Fprintf(w, "   NO ANSWER %s\n             %s\n", a.about, a.query)
		}
	}
	fmt.Fprintf(w, "%d questions, %d without the answer that they should have\n", len(answers), missing)
	if missing > 0 {
		return fmt.Errorf("%d queries have no answer", missing)
	}
	return nil
}
