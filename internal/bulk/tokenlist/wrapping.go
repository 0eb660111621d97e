package tokenlist

import "strings"

// part describes a line that may be a part of a token.
type part struct {
	// token is whether the line has a token at all.
	token bool
	// begins is whether it begins like a JWT: with a JSON object, in base64.
	begins bool
	// whole is whether it begins so and has all three parts of a JWT.
	whole bool
	// dots is how many there are, and dotLast whether one is at the end.
	dots    int
	dotLast bool
}

func partOf(token string) part {
	begins := strings.HasPrefix(token, "ey") || strings.HasPrefix(token, "ew")
	return part{
		token:   token != "",
		begins:  begins,
		whole:   begins && isJWT(token),
		dots:    strings.Count(token, "."),
		dotLast: strings.HasSuffix(token, "."),
	}
}

func isJWT(token string) bool {
	header, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	return header != "" && claims != "" && signature != "" && !strings.Contains(signature, ".")
}

// markWrapped gives a problem to the lines that look like parts of a wrapped token.
// SlashID would reject each part, and the token that is still alive would be taken for
// one that is not valid any more.
//
// A whole token that goes on in the next line keeps its own line: what follows may be a
// part of its signature, and may be something else.
func markWrapped(lines []Line) {
	var open part // what the lines before have of a token
	for i := range lines {
		p := partOf(lines[i].Token)
		if i == 0 || lines[i-1].Number+1 != lines[i].Number || !open.goesOn(p) {
			open = p
			continue
		}
		if before := &lines[i-1]; before.Token != "" && !partOf(before.Token).whole {
			*before = Line{Number: before.Number, Problem: WrapBegins}
		}
		lines[i] = Line{Number: lines[i].Number, Problem: WrapGoesOn}
		open.dots += p.dots
		open.dotLast = p.dotLast
	}
}

// goesOn reports whether next looks like the next part. A line that begins like a token
// is the next part only after a dot, where the second part of a JWT begins alike.
func (p part) goesOn(next part) bool {
	return p.begins && next.token && !next.whole && p.dots+next.dots <= 2 && (!next.begins || p.dotLast)
}
