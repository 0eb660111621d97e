package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/metric/noop"
)

// SIGHUP reloads the files at once, and the log says what changed.
func TestHangup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, empty := filepath.Join(dir, "key"), filepath.Join(dir, "empty")
	fill(t, key, "0ld")
	fill(t, empty, "k3y")
	synctest.Test(t, func(t *testing.T) {
		var fs files
		get := read(&fs, "--key", fileName(key), "key", "the key", parseAPIKey)
		read(&fs, "--other", fileName(empty), "other", "the other key", parseAPIKey)
		reloads, err := noop.Meter{}.Int64Counter("reloads")
		must(t, err)
		var log bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		hangup := make(chan os.Signal)
		go fs.watch(ctx, hangup, slog.New(slog.NewTextHandler(&log, nil)), reloads)

		for _, step := range []struct{ key, other, want string }{
			{"new", "k3y", "replaced=[key] failed=[] unchanged=1"},
			{"new", "", "replaced=[] failed=[other] unchanged=1"},
			{"new", "", "replaced=[] failed=[other] unchanged=1"},
			{"newer", "k3y", `replaced="[key other]" failed=[] unchanged=0`},
		} {
			fill(t, key, step.key)
			fill(t, empty, step.other)
			log.Reset()
			hangup <- syscall.SIGHUP
			synctest.Wait()
			if got := get().Reveal(); got != step.key {
				t.Errorf("the key is %q, want %q", got, step.key)
			}
			if !strings.Contains(log.String(), `msg="files reloaded on SIGHUP" `+step.want) {
				t.Errorf("no %s in the log:\n%s", step.want, &log)
			}
		}
		stop()
		synctest.Wait()
	})
}
