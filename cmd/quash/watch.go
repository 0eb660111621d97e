package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/quashdev/quash/internal/filewatch"
)

// reloadInterval is how often files that may be replaced are looked at.
const reloadInterval = time.Second

// watchedFile is a file that may be replaced while quash runs.
type watchedFile struct {
	// name is what it is called in metrics, what it is in the log.
	name, what string
	watch      func(ctx context.Context, interval time.Duration, changed func(error))
	stale      func() bool
	// reloaded is told whenever it has changed: that it was replaced or refused.
	reloaded func(ctx context.Context, result string)
}

// watched is f, by those names.
func watched[T any](name, what string, f *filewatch.File[T]) watchedFile {
	return watchedFile{name: name, what: what, watch: f.Watch, stale: f.Stale, reloaded: func(context.Context, string) {}}
}

// The results of a reload.
const (
	reloadReplaced = "replaced"
	reloadRefused  = "refused"
)

// watching runs run while the files are watched, to its very end: a caller that is
// taken off the list during a long shutdown is out all the same. What became of a file
// that was replaced goes to the log: a bad one leaves things as they were, and is an
// error.
func watching(ctx context.Context, logger *slog.Logger, files []watchedFile, run func(context.Context) error) error {
	watchCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watches sync.WaitGroup
	for _, f := range files {
		watches.Go(func() {
			f.watch(watchCtx, reloadInterval, func(err error) {
				if err != nil {
					f.reloaded(watchCtx, reloadRefused)
					logger.Error(f.what+" is not replaced", "err", err.Error())
					return
				}
				f.reloaded(watchCtx, reloadReplaced)
				logger.Info(f.what + " is replaced")
			})
		})
	}
	err := run(ctx)
	stop()
	ended := make(chan struct{})
	go func() {
		watches.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(reloadInterval): // a file system that hangs must not keep quash from ending
	}
	return err
}
