package main

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// The graph, in pixels: a panel for each measure, one below the other, over the same
// time.
const (
	graphWidth  = 1200
	marginLeft  = 70
	marginRight = 20
	panelTop    = 34 // of it, for its heading
	panelHeight = 150
	panelStep   = panelTop + panelHeight + 12
	axisHeight  = 40
	keyHeight   = 30

	plotWidth = graphWidth - marginLeft - marginRight
)

// axis maps values from 0 on to pixels.
type axis struct {
	most float64 // the value at the end of it
	step float64 // between ticks
}

// newValueAxis makes one that reaches up to most, in about five round steps.
func newValueAxis(most float64) axis {
	most = max(most, 1e-9)
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	step := power * leastOf([]float64{1, 2, 5, 10}, most/5/power)
	return axis{most: math.Ceil(most/step) * step, step: step}
}

// newTimeAxis makes one of so many seconds, in up to eight steps as clocks have them.
func newTimeAxis(seconds float64) axis {
	seconds = max(seconds, 1e-9)
	return axis{most: seconds, step: leastOf([]float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400}, seconds/8)}
}

// leastOf is the first of steps that is at least v, or the last.
func leastOf(steps []float64, v float64) float64 {
	for _, step := range steps {
		if step >= v*(1-1e-9) {
			return step
		}
	}
	return steps[len(steps)-1]
}

// ticks are the values to label.
func (a axis) ticks() []float64 {
	var all []float64
	for i := 0; float64(i)*a.step <= a.most*(1+1e-9); i++ {
		all = append(all, float64(i)*a.step)
	}
	return all
}

// drawGraph draws every measure over time: a line of all samples, dots for those at
// quiet times, hollow for as many as are not compared, and the phases as shades
// behind.
func drawGraph(spans []span, samples []sample, warmUp int) []byte {
	var svg bytes.Buffer
	height := len(measures)*panelStep + axisHeight + keyHeight
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		graphWidth, height, graphWidth, height)
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", graphWidth, height)
	var end time.Duration
	for _, s := range samples {
		end = max(end, s.at)
	}
	across := newTimeAxis(end.Seconds())
	for i := range measures {
		drawPanel(&svg, i*panelStep+panelTop, &measures[i], across, spans, samples, warmUp)
	}
	drawTime(&svg, len(measures)*panelStep, across)
	drawKey(&svg, len(measures)*panelStep+axisHeight)
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

func (a axis) x(at float64) float64 { return marginLeft + plotWidth*at/a.most }

func (a axis) y(top int, value float64) float64 {
	return float64(top) + panelHeight*(1-value/a.most)
}

func drawPanel(svg *bytes.Buffer, top int, m *measure, across axis, spans []span, samples []sample, warmUp int) {
	highest := 0.0
	for _, s := range samples {
		highest = max(highest, m.of(s))
	}
	up := newValueAxis(highest)
	fmt.Fprintf(svg, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", marginLeft, top-8, m.title())
	for _, s := range spans {
		from, to := across.x(s.from.Seconds()), across.x(s.to.Seconds())
		fmt.Fprintf(svg, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", from, top, to-from, panelHeight, colourOf(s.phase))
	}
	for _, tick := range up.ticks() {
		y := up.y(top, tick)
		fmt.Fprintf(svg, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#000000" stroke-opacity="0.12"/>`+"\n", marginLeft, y, marginLeft+plotWidth, y)
		fmt.Fprintf(svg, `<text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", marginLeft-6, y+4, round(tick))
	}
	fmt.Fprintf(svg, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#555555"/>`+"\n", marginLeft, top, plotWidth, panelHeight)
	svg.WriteString(`<polyline fill="none" stroke="#3b6ea5" points="`)
	for _, s := range samples {
		fmt.Fprintf(svg, "%.1f,%.1f ", across.x(s.at.Seconds()), up.y(top, m.of(s)))
	}
	svg.WriteString(`"/>` + "\n")
	for _, s := range samples {
		if s.phase == quiet {
			drawDot(svg, across.x(s.at.Seconds()), up.y(top, m.of(s)), warmUp <= 0)
			warmUp--
		}
	}
}

func drawDot(svg *bytes.Buffer, x, y float64, filled bool) {
	fill := "#ffffff"
	if filled {
		fill = "#b03030"
	}
	fmt.Fprintf(svg, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s" stroke="#b03030"/>`+"\n", x, y, fill)
}

// drawTime labels the axis that all panels share.
func drawTime(svg *bytes.Buffer, top int, across axis) {
	for _, tick := range across.ticks() {
		x := across.x(tick)
		fmt.Fprintf(svg, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#555555"/>`+"\n", x, top-12, x, top-6)
		fmt.Fprintf(svg, `<text x="%.1f" y="%d" text-anchor="middle">%d:%02d</text>`+"\n", x, top+8, int(tick)/60, int(tick)%60)
	}
	fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="middle">time since the start, min:s</text>`+"\n", marginLeft+plotWidth/2, top+26)
}

// drawKey says what the shades and the dots are.
func drawKey(svg *bytes.Buffer, top int) {
	x := marginLeft
	for _, name := range append(phaseNames(), quiet) {
		fmt.Fprintf(svg, `<rect x="%d" y="%d" width="14" height="14" fill="%s" stroke="#555555"/>`+"\n", x, top, colourOf(name))
		fmt.Fprintf(svg, `<text x="%d" y="%d">%s</text>`+"\n", x+19, top+12, name)
		x += 40 + 7*len(name)
	}
	drawDot(svg, float64(x+7), float64(top+7), true)
	fmt.Fprintf(svg, `<text x="%d" y="%d">compared</text>`+"\n", x+19, top+12)
}

func phaseNames() []string {
	names := make([]string, 0, len(phases)+1)
	for i := range phases {
		names = append(names, phases[i].name)
	}
	return names
}

// colourOf is the shade of a phase; quiet times are darkest.
func colourOf(name string) string {
	for i := range phases {
		if phases[i].name == name {
			return phases[i].colour
		}
	}
	return "#8f8f8f"
}

// round takes away what binary fractions add to a decimal one.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }
