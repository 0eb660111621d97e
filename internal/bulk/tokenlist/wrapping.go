package tokenlist

import "strings"

// part describes a line that may be a part of a token.
type part struct {
	// token reports whether the line has a token.
	token bool
	// begins reports whether it starts like a JWT: with a JSON object in base64.
	begins bool
	// whole reports whether it starts like a JWT and has all three parts of a JWT.
	whole bool
	// dots is the number of dots, dotLast whether the text ends with a dot.
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

// markWrapped sets the problem of lines that look like parts of a wrapped token. SlashID would
// reject each part, and the operator would believe that the token is no longer valid.
//
// A line that has a whole token keeps it, even if the next line looks like its continuation:
// that may be the rest of the signature, or something else.
func markWrapped(lines []Line) {
	var open part // the token that the previous lines have started
	for i := range lines {
		p := partOf(lines[i].Token)
		if i == 0 || lines[i-1].Number+1 != lines[i].Number || !open.continues(p) {
			open = p
			continue
		}
		if before := &lines[i-1]; before.Token != "" && !partOf(before.Token).whole {
			*before = Line{Number: before.Number, Problem: WrapStarts}
		}
		lines[i] = Line{Number: lines[i].Number, Problem: WrapContinues}
		open.dots += p.dots
		open.dotLast = p.dotLast
	}
}

// continues reports whether next looks like the continuation of p. A line that starts like a
// token is a continuation only after a dot, because the second part of a JWT starts in the
// same way.
func (p part) continues(next part) bool {
	return p.begins && next.token && !next.whole && p.dots+next.dots <= 2 && (!next.begins || p.dotLast)
}
