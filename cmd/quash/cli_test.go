package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The exit code does not wait for a standard error that nothing reads.
func TestComplainToAFullPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		begun := time.Now()
		if code := complain(w, errors.New("it broke")); code != exitFailure || time.Since(begun) != complaintTimeout {
			t.Errorf("exit code %d after %v", code, time.Since(begun))
		}
		must(t, r.Close())
	})
}

func TestComplain(t *testing.T) {
	t.Parallel()
	usage := &usageError{[]string{"--a is wrong", "--b is worse"}}
	for name, tt := range map[string]struct {
		err  error
		code int
		text string
	}{
		"nothing":               {nil, 0, ""},
		"a failure":             {errors.New("it broke"), 1, "quash: it broke\n"},
		"several failures":      {errors.Join(errors.New("it broke"), errors.New("so did that")), 1, "quash: it broke\nquash: so did that\n"},
		"a failure of lines":    {errors.New("it broke\nhere"), 1, "quash: it broke\nquash: here\n"},
		"a misuse":              {usage, 2, "quash: --a is wrong\nquash: --b is worse\n"},
		"a token, misplaced":    {errors.New(`unexpected argument eyJhbGciOiJub25lIn0.eyJqdGkiOiJhIn0.c-_; not "eyJhbGciOiJub25lIn0.e"`), 1, "quash: unexpected argument [redacted]; not \"[redacted]\"\n"},
		"nothing like a token":  {errors.New("no host eyJ.example.com, heyJuliaAndRomeo.example.com"), 1, "quash: no host eyJ.example.com, heyJuliaAndRomeo.example.com\n"},
		"a misuse, found later": {fmt.Errorf("start: %w", usage), 2, "quash: start: --a is wrong\nquash: --b is worse\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stderr strings.Builder
			if code := complain(&stderr, tt.err); code != tt.code || stderr.String() != tt.text {
				t.Errorf("exit code %d, %q; want %d, %q", code, &stderr, tt.code, tt.text)
			}
		})
	}
}
