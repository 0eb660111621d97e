package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// elements reads SVG, which must be well-formed, into the attributes of its elements
// by name, and the texts.
func elements(t *testing.T, svg []byte) (byName map[string][]map[string]string, texts []string) {
	t.Helper()
	byName = map[string][]map[string]string{}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return byName, texts
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			attributes := map[string]string{}
			for _, a := range token.Attr {
				attributes[a.Name.Local] = a.Value
			}
			byName[token.Name.Local] = append(byName[token.Name.Local], attributes)
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				texts = append(texts, text)
			}
		}
	}
}

func TestDrawGraph(t *testing.T) {
	t.Parallel()
	spans := []span{{quiet, 0, time.Second}, {"calm", time.Second, 40 * time.Second}, {quiet, 40 * time.Second, 60 * time.Second}}
	samples := []sample{
		{at: time.Second, phase: quiet, goroutines: 10, heap: 2 * mebibyte, descriptors: 5, rss: 30 * mebibyte},
		{at: 20 * time.Second, phase: "calm", goroutines: 380, heap: 9 * mebibyte, descriptors: 120, rss: 41 * mebibyte},
		{at: 60 * time.Second, phase: quiet, goroutines: 10, heap: 2 * mebibyte, descriptors: 5, rss: 38 * mebibyte},
	}
	byName, texts := elements(t, drawGraph(spans, samples, 1))

	if n := len(byName["polyline"]); n != len(measures) {
		t.Errorf("%d lines, want one for each of %d measures", n, len(measures))
	}
	for i, line := range byName["polyline"] {
		points := strings.Fields(line["points"])
		if len(points) != len(samples) {
			t.Errorf("line %d has %d points", i, len(points))
		}
		top := i*panelStep + panelTop
		for _, point := range points {
			var x, y float64
			if _, err := fmt.Sscanf(point, "%f,%f", &x, &y); err != nil {
				t.Fatal(err)
			}
			if x < marginLeft || x > marginLeft+plotWidth || y < float64(top) || y > float64(top+panelHeight) {
				t.Errorf("line %d: %s is outside its panel", i, point)
			}
		}
	}
	// The first quiet sample is hollow, the second full; and one is in the key.
	full := 0
	for _, dot := range byName["circle"] {
		if dot["fill"] != "#ffffff" {
			full++
		}
	}
	if n := len(byName["circle"]); n != 2*len(measures)+1 || full != len(measures)+1 {
		t.Errorf("%d dots, %d of them full", n, full)
	}
	shades := 0
	for _, rect := range byName["rect"] {
		if rect["height"] == strconv.Itoa(panelHeight) && rect["fill"] == colourOf(quiet) {
			shades++
		}
	}
	if shades != 2*len(measures) {
		t.Errorf("%d quiet times are shaded", shades)
	}
	for _, want := range []string{"goroutines", "heap, MiB", "descriptors", "resident memory, MiB", "0:00", "1:00", "400", "outage", quiet} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is not written", want)
		}
	}
}

// The first marks of a line are where the axes say.
func TestGraphScales(t *testing.T) {
	t.Parallel()
	a := axis{most: 200, step: 50}
	if x := a.x(100); x != marginLeft+plotWidth/2 {
		t.Errorf("the middle is at %g", x)
	}
	if bottom, top := a.y(34, 0), a.y(34, 200); bottom != 34+panelHeight || top != 34 {
		t.Errorf("from %g to %g", bottom, top)
	}
}

// A run that was broken off at once is drawn too.
func TestDrawGraphOfNothing(t *testing.T) {
	t.Parallel()
	for _, samples := range [][]sample{nil, {{phase: quiet}}} {
		svg := drawGraph(nil, samples, 1)
		elements(t, svg)
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Errorf("%s", svg)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		axis axis
		want []float64
	}{
		{newValueAxis(368), []float64{0, 100, 200, 300, 400}},
		{newValueAxis(21), []float64{0, 5, 10, 15, 20, 25}},
		{newValueAxis(1), []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{newValueAxis(0.031), []float64{0, 0.01, 0.02, 0.03, 0.04}},
		{newValueAxis(45), []float64{0, 10, 20, 30, 40, 50}},
		{newTimeAxis(116), []float64{0, 20, 40, 60, 80, 100}},
		{newTimeAxis(1800), []float64{0, 300, 600, 900, 1200, 1500, 1800}},
		{newTimeAxis(40_000), []float64{0, 7200, 14400, 21600, 28800, 36000}},
	} {
		got := tc.axis.ticks()
		if !slices.EqualFunc(got, tc.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%+v: %g, want %g", tc.axis, got, tc.want)
		}
	}
}
