package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/quashdev/quash/internal/operations"
)

// prometheus scrapes quash every second, and evaluates its rules as often.
type prometheus struct {
	cmd *exec.Cmd
	url string
}

const prometheusConfig = `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: quash
    static_configs: [{targets: [%q], labels: {namespace: bench}}]
`

// startPatience is how long Prometheus may take to be ready.
const startPatience = 30 * time.Second

// groupInterval is what the rules say of how often: a minute, of which a run has few.
var groupInterval = regexp.MustCompile(`(?m)^ +interval: .*$`)

func startPrometheus(ctx context.Context, tmp, out, admin string) (*prometheus, error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, errors.New("prometheus is not installed; Debian's package prometheus has it")
	}
	rules, err := os.ReadFile(operations.RulesFile)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(tmp, "prometheus.yaml")
	for name, content := range map[string]string{
		config:                           fmt.Sprintf(prometheusConfig, strings.TrimPrefix(admin, "http://")),
		filepath.Join(tmp, "rules.yaml"): groupInterval.ReplaceAllString(string(rules), ""),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(out, "prometheus.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p := &prometheus{url: "http://" + addr}
	p.cmd = exec.Command(path, //nolint:gosec,noctx // stopped in any case
		"--config.file", config, "--storage.tsdb.path", filepath.Join(tmp, "tsdb"), "--web.listen-address", addr)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start prometheus: %w", err)
	}
	if err := p.awaitReady(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("prometheus is not ready, see %s: %w", log.Name(), err)
	}
	return p, nil
}

// freeAddr is one that nobody had a moment ago: Prometheus does not say which port it
// was given.
func freeAddr(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (p *prometheus) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		_, err := get(ctx, p.url+"/-/ready")
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (p *prometheus) stop() {
	_ = p.cmd.Process.Kill() // nothing of it is kept
	_ = p.cmd.Wait()
}

// answer asks all questions.
func (p *prometheus) answer(ctx context.Context, questions []question) ([]answer, error) {
	answers := make([]answer, len(questions))
	for i, q := range questions {
		body, err := get(ctx, p.url+"/api/v1/query?query="+url.QueryEscape(q.query))
		if err != nil {
			return nil, fmt.Errorf("ask for %s, %s: %w", q.about, q.query, err)
		}
		if answers[i], err = readAnswer(q, body); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// answer is how many series there were, and how many of them were numbers.
type answer struct {
	question

	series, numbers int
}

func readAnswer(q question, body []byte) (answer, error) {
	var response struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"` // time, and a number as text
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return answer{}, fmt.Errorf("read the answer for %s: %w", q.about, err)
	}
	a := answer{question: q, series: len(response.Data.Result)}
	for _, r := range response.Data.Result {
		if r.Value[1] != "NaN" {
			a.numbers++
		}
	}
	return a, nil
}

// alerts are the names of those that wait or fire.
func (p *prometheus) alerts(ctx context.Context) ([]string, error) {
	body, err := get(ctx, p.url+"/api/v1/label/alertname/values")
	if err != nil {
		return nil, fmt.Errorf("ask for the alerts: %w", err)
	}
	var response struct {
		Data []string `json:"data"`
	}
	err = json.Unmarshal(body, &response)
	return response.Data, err
}
