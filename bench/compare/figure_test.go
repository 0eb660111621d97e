package main

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

func TestOneTwoFive(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]float64{1: 1, 1.1: 2, 3: 5, 7: 10, 20: 20, 0.03: 0.05, 0.1: 0.1, 999: 1000} {
		if got := oneTwoFive(value); math.Abs(got-want) > 1e-9 {
			t.Errorf("%g becomes %g, want %g", value, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{0: "0", 0.05: "0.05", 100: "100", 1000: "1,000", 25000: "25,000", 1234567: "1,234,567"} {
		if got := grouped(value); got != want {
			t.Errorf("%g is written %s, want %s", value, got, want)
		}
	}
}

// Axes reach beyond the data, and every mark on them has a label.
func TestAxes(t *testing.T) {
	t.Parallel()
	even := plot.New().X
	even.Max = 52_000
	evenly(&even)
	logs := plot.New().Y
	logs.Min, logs.Max = math.Log10(0.21), math.Log10(39)
	logarithmic(&logs)
	for name, c := range map[string]struct {
		axis        plot.Axis
		labels      string
		least, most float64
	}{
		"even":        {even, "0 10,000 20,000 30,000 40,000 50,000 60,000", 0, 60_000},
		"logarithmic": {logs, "0.2 0.5 1 2 5 10 20 50", math.Log10(0.2), math.Log10(50)},
	} {
		var labels []string
		for _, tick := range c.axis.Tick.Marker.Ticks(c.axis.Min, c.axis.Max) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != c.labels || math.Abs(c.axis.Min-c.least) > 1e-9 || math.Abs(c.axis.Max-c.most) > 1e-9 {
			t.Errorf("%s: %s, from %g to %g", name, got, c.axis.Min, c.axis.Max)
		}
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	f := &figure{
		title: "Title", x: "calls", y: "ms", logY: true,
		series: []series{
			{name: "first", points: plotter.XYs{{X: 1, Y: 2}, {X: 3, Y: 40}}},
			{name: "limit", points: plotter.XYs{{X: 0, Y: 1}, {X: 3, Y: 10}}, dashed: true},
		},
	}
	svg, err := f.svg()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">Title<", ">calls<", ">ms<", ">first<", ">limit<", "sans-serif", "stroke-dasharray"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("there is no %s in the SVG", want)
		}
	}
	picture, err := f.png()
	if err != nil {
		t.Fatal(err)
	}
	if config, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil || config.Width != 9*pngDPI || config.Height != 5*pngDPI {
		t.Errorf("the PNG is %+v, %v", config, err)
	}
	if got, want := f.series[0].points[1].Y, 40.0; got != want {
		t.Errorf("drawing makes %g of %g", got, want)
	}
}

// Who is in a plot, and that nobody looks like another there.
func TestPlots(t *testing.T) {
	t.Parallel()
	all := newTestReport().plots()
	var files []string
	for _, f := range all {
		files = append(files, f.file)
		styles := map[int]string{}
		for _, s := range f.series {
			if s.dashed {
				continue
			}
			if s.style < 0 || s.style >= len(hues) || s.style >= len(shapes) {
				t.Errorf("%s has no style", s.name)
			}
			if other, taken := styles[s.style]; taken {
				t.Errorf("in %s %s looks like %s", f.file, s.name, other)
			}
			styles[s.style] = s.name
		}
	}
	if got := strings.Join(files, " "); got != "throughput-grpc-http1 throughput-grpc-http2 throughput-rest-http1 throughput-rest-http2 memory" {
		t.Errorf("the plots are %s", got)
	}
	memory := all[len(all)-1]
	if got := memory.series[0]; got.name != quashName || len(got.points) != 5 || got.points[4] != (plotter.XY{X: 20_000, Y: 510}) {
		t.Errorf("memory is drawn as %+v", got)
	}
}
