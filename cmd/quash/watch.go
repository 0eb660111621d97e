package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// reloadInterval is how often files that may be replaced are looked at.
const reloadInterval = time.Second

// watchedFile is a file that may be replaced while quash runs.
type watchedFile struct {
	what  string
	watch func(ctx context.Context, interval time.Duration, changed func(error))
}

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
					logger.Error(f.what+" is not replaced", "err", err.Error())
					return
				}
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
