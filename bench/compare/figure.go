package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figure is a plot of lines.
type figure struct {
	file   string // its name, without what comes after the dot
	title  string
	x, y   string // what the axes show, with units
	logY   bool
	series []series
}

// series is a line through points.
type series struct {
	name   string
	points plotter.XYs
	style  int  // which colour and shape: those of one program are the same in all figures
	dashed bool // a limit: it has no points of its own
}

// Who sees colours differently tells these apart (Okabe and Ito's), and the shapes too.
var (
	hues = []color.Color{
		color.RGBA{0x00, 0x72, 0xb2, 0xff}, // blue
		color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
		color.RGBA{0x00, 0x9e, 0x73, 0xff}, // green
		color.RGBA{0xcc, 0x79, 0xa7, 0xff}, // purple
		color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
		color.RGBA{0x56, 0xb4, 0xe9, 0xff}, // sky blue
	}
	shapes = []draw.GlyphDrawer{
		draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{},
	}
)

const (
	figureWidth  = 9 * vg.Inch
	figureHeight = 5 * vg.Inch
	legendWidth  = 2.3 * vg.Inch
	pngDPI       = 110
)

// svg draws it for documents.
func (f *figure) svg() ([]byte, error) {
	canvas := vgsvg.New(figureWidth, figureHeight)
	if err := f.draw(draw.New(canvas)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	// Not every machine has the typeface. Arial is as wide.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif")), nil
}

// png draws it for whatever shows no SVG.
func (f *figure) png() ([]byte, error) {
	canvas := vgimg.NewWith(vgimg.UseWH(figureWidth, figureHeight), vgimg.UseDPI(pngDPI))
	if err := f.draw(draw.New(canvas)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(&b)
	return b.Bytes(), err
}

// draw draws the legend beside the plot, where no data can be under it.
func (f *figure) draw(c draw.Canvas) error {
	c.SetColor(color.White)
	c.Fill(c.Path())
	p, legend := plot.New(), plot.NewLegend()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.title, f.x, f.y
	sansSerif(p, &legend)
	p.Add(plotter.NewGrid())
	for _, s := range f.series {
		line, points, err := plotter.NewLinePoints(f.scaled(s.points))
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		line.Color, points.Color = hues[s.style%len(hues)], hues[s.style%len(hues)]
		line.Width = vg.Points(2)
		points.Shape, points.Radius = shapes[s.style%len(shapes)], vg.Points(4)
		if s.dashed {
			line.Color, line.Dashes = color.Gray{0x60}, []vg.Length{vg.Points(5), vg.Points(4)}
			p.Add(line)
			legend.Add(s.name, line)
			continue
		}
		p.Add(line, points)
		legend.Add(s.name, line, points)
	}
	evenly(&p.X)
	if f.logY {
		logarithmic(&p.Y)
	} else {
		evenly(&p.Y)
	}
	const margin = 0.15 * vg.Inch
	p.Draw(draw.Crop(c, margin, -legendWidth, margin, -margin))
	legend.Top, legend.Left = true, true
	legend.Draw(draw.Crop(c, figureWidth-legendWidth+margin, -margin, margin, -0.6*vg.Inch))
	return nil
}

// sansSerif sets type that can be read on a screen.
func sansSerif(p *plot.Plot, legend *plot.Legend) {
	set := func(f *font.Font, size vg.Length) { f.Variant, f.Size = "Sans", vg.Points(float64(size)) }
	set(&p.Title.TextStyle.Font, 14)
	p.Title.Padding = vg.Points(10)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		set(&axis.Label.TextStyle.Font, 12)
		axis.Label.Padding = vg.Points(6)
		set(&axis.Tick.Label.Font, 11)
		axis.Padding = 0
	}
	set(&legend.TextStyle.Font, 11)
	legend.Padding = vg.Points(5)
	legend.ThumbnailWidth = vg.Points(28)
}

// evenly marks an axis from 0 to above its data, at steps that people count in.
func evenly(axis *plot.Axis) {
	const marks = 6 // about
	step := oneTwoFive(axis.Max / marks)
	axis.Min, axis.Max = 0, math.Ceil(axis.Max/step)*step
	ticks := make(plot.ConstantTicks, int(math.Round(axis.Max/step))+1)
	for i := range ticks {
		value := float64(i) * step
		ticks[i] = plot.Tick{Value: value, Label: grouped(value)}
	}
	axis.Tick.Marker = ticks
}

// scaled returns points as they are to be drawn. With plot.LogScale the plot would end
// far below the title: gonum/plot takes the middle of such an axis for near its top.
func (f *figure) scaled(points plotter.XYs) plotter.XYs {
	if !f.logY {
		return points
	}
	scaled := slices.Clone(points)
	for i := range scaled {
		scaled[i].Y = math.Log10(scaled[i].Y)
	}
	return scaled
}

// logarithmic marks an axis of logarithms at 1, 2 and 5 times each power of ten, from
// below its data to above.
func logarithmic(axis *plot.Axis) {
	var ticks plot.ConstantTicks
	least, most := math.Pow(10, axis.Min), math.Pow(10, axis.Max)
	value := oneTwoFive(least)
	if value > least {
		value = oneTwoFive(value / 2.6) // the one before is 2 or 2.5 times less
	}
	for ; ; value = oneTwoFive(value * 1.5) {
		ticks = append(ticks, plot.Tick{Value: math.Log10(value), Label: grouped(value)})
		if value >= most {
			break
		}
	}
	axis.Tick.Marker = ticks
	axis.Min, axis.Max = ticks[0].Value, ticks[len(ticks)-1].Value
}

// oneTwoFive returns the least of 1, 2 and 5 times the powers of ten that is not less than
// value, which is more than 0.
func oneTwoFive(value float64) float64 {
	power := math.Pow10(int(math.Floor(math.Log10(value))))
	const almost = 1 - 1e-9 // what arithmetic makes of equal numbers
	for _, n := range []float64{1, 2, 5} {
		if n*power >= value*almost {
			return n * power
		}
	}
	return 10 * power
}

// grouped writes a number with commas, if it is whole.
func grouped(value float64) string {
	text := strconv.FormatFloat(value, 'g', 3, 64)
	if value != math.Trunc(value) {
		return text
	}
	text = strconv.FormatFloat(value, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
