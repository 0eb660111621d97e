package main

import "testing"

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, c := range []struct {
		sorted        []int
		percent, want int
	}{
		{nil, 50, 0},
		{[]int{7}, 50, 7},
		{[]int{7}, 99, 7},
		{[]int{1, 2}, 50, 1},
		{[]int{1, 2, 3}, 50, 2},
		{[]int{1, 2, 3}, 99, 3},
		{[]int{1, 2, 3}, 0, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
	} {
		if got := percentile(c.sorted, c.percent); got != c.want {
			t.Errorf("percentile %d of %v is %d, want %d", c.percent, c.sorted, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	values := []int{9, 1, 5}
	if got := median(values); got != 5 || values[0] != 9 {
		t.Errorf("got %d of %v, which is to stay as it is", got, values)
	}
	if got := medianOf([]string{"ccc", "a", "bb"}, func(s string) int { return len(s) }); got != 2 {
		t.Errorf("got %d", got)
	}
}
