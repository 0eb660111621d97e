package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
)

// saveScrape writes what Prometheus is told to a file.
func saveScrape(ctx context.Context, admin, path string) error {
	body, err := get(ctx, admin+"/metrics")
	if err != nil {
		return fmt.Errorf("scrape quash: %w", err)
	}
	return os.WriteFile(path, body, 0o644) //nolint:gosec // results for everyone to read
}

// get asks for a page on loopback.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, body.String())
	}
	return body.Bytes(), nil
}
