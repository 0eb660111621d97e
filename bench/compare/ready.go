package compare

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

const (
	maxReady           = 100 * time.Millisecond
	stretchReady       = 20 * time.Millisecond
	maxSize      int64 = 30e6
)

// measureReady measures the time from the start of quash until /readyz answers 200.
func measureReady(ctx context.Context, e *env) (string, error) {
	took := make([]time.Duration, e.pace.starts)
	for i := range took {
		var err error
		if took[i], err = e.timeReady(ctx); err != nil {
			return "", err
		}
	}
	file, err := os.Stat(e.quash)
	if err != nil {
		return "", err
	}
	ready := measure.Percentile(took, 50)
	t := measure.NewTable("quash", "", "target", "", "stretch goal", "")
	t.Add("ready after, ms", millis(ready), millis(maxReady), measure.Verdict(ready, maxReady), millis(stretchReady), measure.Verdict(ready, stretchReady))
	t.Add("longest, ms", millis(slices.Max(took)), "", "", "", "")
	t.Add("binary, MB", fmt.Sprintf("%.1f", float64(file.Size())/1e6), megabytes(maxSize), measure.Verdict(file.Size(), maxSize), "", "")
	return fmt.Sprintf("### Start and size\nThe time from the start of the process until `/readyz` answers 200: the median of %d starts.\n\n%s", len(took), t), nil
}

func (e *env) timeReady(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	s, err := quash.run(ctx, e, e.upstreams[http1].url)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("/readyz answered %s", resp.Status)
	}
	return time.Since(begun), nil
}
