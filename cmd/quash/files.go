package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/quashdev/quash/internal/filewatch"
	"github.com/quashdev/quash/service/server"
)

// files are the files that flags name. They are reloaded when they change.
type files struct {
	watched []watchedFile
	wrong   usageError
}

// watchedFile is a file that may be replaced while quash runs.
type watchedFile struct {
	// name identifies the file in metrics, what describes it in log messages.
	name, what string
	reload     func() (news bool, err error)
	stale      func() bool
}

// read loads the file of a flag. It returns nil if the flag is not set or the file is not valid.
func read[T any](fs *files, flag string, path fileName, name, what string, parse func([]byte) (T, error)) (get func() T) {
	if path == "" {
		return nil
	}
	file, err := filewatch.Load(string(path), parse)
	return add(fs, flag, name, what, file, err)
}

func add[T any](fs *files, flag, name, what string, file *filewatch.File[T], err error) (get func() T) {
	if err != nil {
		fs.wrong.addf("%s %s", flag, err)
		return nil
	}
	fs.watched = append(fs.watched, watchedFile{name, what, file.Reload, file.Stale})
	return file.Get
}

// reloadInterval is the time between two checks of the files.
const reloadInterval = time.Second

// watch reloads the files that change, until ctx ends: it checks them every reloadInterval,
// and at once on SIGHUP. If a new content is not valid, the previous one stays in use, and
// the log has an error.
func (fs *files) watch(ctx context.Context, hangups <-chan os.Signal, logger *slog.Logger, reloads metric.Int64Counter) {
	for _, f := range fs.watched {
		// A goroutine each, so that a file on a mount that hangs does not hold up the others.
		go func() {
			ticker := time.NewTicker(reloadInterval)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					_, _ = f.check(ctx, logger, reloads)
				}
			}
		}()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			replaced, failed := []string{}, []string{}
			for _, f := range fs.watched {
				switch news, err := f.check(ctx, logger, reloads); {
				case err != nil:
					failed = append(failed, f.name)
				case news:
					replaced = append(replaced, f.name)
				}
			}
			logger.Info("files reloaded on SIGHUP", "replaced", replaced, "failed", failed,
				"unchanged", len(fs.watched)-len(replaced)-len(failed))
		}
	}
}

// check reloads the file if it has changed, and logs and counts what is new.
func (f watchedFile) check(ctx context.Context, logger *slog.Logger, reloads metric.Int64Counter) (news bool, err error) {
	news, err = f.reload()
	switch {
	case !news:
	case err != nil:
		reloads.Add(ctx, 1, reloadAttributes(f, reloadRefused))
		logger.Error(f.what+" reload failed", "err", err.Error())
	default:
		reloads.Add(ctx, 1, reloadAttributes(f, reloadReplaced))
		logger.Info(f.what + " reloaded")
	}
	return news, err
}

// The results of a reload, as label values.
const (
	reloadReplaced = "replaced"
	reloadRefused  = "refused"
)

// meterName is the instrumentation scope of this package's metrics.
const meterName = "github.com/quashdev/quash/cmd/quash"

const attrFile = attribute.Key("quash.file")

func reloadAttributes(f watchedFile, result string) metric.MeasurementOption {
	return metric.WithAttributes(attrFile.String(f.name), attribute.String("quash.reload.result", result))
}

// observe declares the metrics of the files and of the TLS certificate. It returns the counter
// of reloads, which watch increments.
func (fs *files) observe(ctx context.Context, meters metric.MeterProvider, tls *server.TLS) (reloads metric.Int64Counter, err error) {
	meter := meters.Meter(meterName)
	reloads, reloadsErr := meter.Int64Counter("quash.reloads",
		metric.WithUnit("{reload}"),
		metric.WithDescription("Reloads of files that changed while quash ran: replaced if the new content is in use, refused if it is not valid."))
	failing, failingErr := meter.Int64ObservableGauge("quash.reload.failing",
		metric.WithUnit("{file}"),
		metric.WithDescription("1 while a changed file cannot be used and its previous content stays in use."))
	expiry, expiryErr := meter.Int64ObservableGauge("quash.tls.certificate.expiry.timestamp",
		metric.WithUnit("s"),
		metric.WithDescription("Expiry time of the certificate that quash serves, in Unix time."))
	if err := errors.Join(reloadsErr, failingErr, expiryErr); err != nil {
		return nil, fmt.Errorf("declare the metrics: %w", err)
	}
	for _, f := range fs.watched { // rates need the 0 before the first increase
		reloads.Add(ctx, 0, reloadAttributes(f, reloadReplaced))
		reloads.Add(ctx, 0, reloadAttributes(f, reloadRefused))
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, f := range fs.watched {
			value := int64(0)
			if f.stale() {
				value = 1
			}
			o.ObserveInt64(failing, value, metric.WithAttributes(attrFile.String(f.name)))
		}
		if tls != nil {
			o.ObserveInt64(expiry, tls.Certificate().Leaf.NotAfter.Unix())
		}
		return nil
	}, failing, expiry)
	return reloads, err
}
