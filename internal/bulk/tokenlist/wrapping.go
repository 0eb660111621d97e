package tokenlist

import "strings"

// part is what can be told of a line that may be a part of a token.
type part struct {
	// token is whether the line has a token at all.
	token bool
	// begins is whether it begins like a JWT: with an object of JSON, in base64.
	begins bool
	// whole is whether it begins so and has all three parts of a JWT.
	whole bool
	// dots is how many there are, and dotLast whether one is at the end.
	dots    int
	dotLast bool
}

func partOf(line Line) part {
	token := line.Token
	header, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	begins := strings.HasPrefix(token, "ey") || strings.HasPrefix(token, "ew")
	return part{
		token:   token != "",
		begins:  begins,
		whole:   begins && header != "" && claims != "" && signature != "" && !strings.Contains(signature, "."),
		dots:    strings.Count(token, "."),
		dotLast: strings.HasSuffix(token, "."),
	}
}

// wrap is a token that the line before may be a part of.
type wrap struct {
	open    bool
	dots    int
	dotLast bool
}

func begin(p part) wrap { return wrap{open: p.begins, dots: p.dots, dotLast: p.dotLast} }

// goesOn reports whether a part looks like the next one. One that begins like a token is
// the next one only after a dot, where the second part of a JWT begins alike. A whole
// token may still go on, for it may be its last part that was wrapped.
func (w wrap) goesOn(p part) bool {
	return w.open && p.token && !p.whole && w.dots+p.dots <= 2 && (!p.begins || w.dotLast)
}

// with returns what is begun with one more part.
func (w wrap) with(p part) wrap {
	return wrap{open: true, dots: w.dots + p.dots, dotLast: p.dotLast}
}
