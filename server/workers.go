package server

import (
	"context"
	"sync/atomic"
)

// workers counts the goroutines that run code of the user. Unlike those of a
// sync.WaitGroup they may begin while Shutdown waits: a program may disconnect
// a socket at any time.
type workers struct {
	count   atomic.Int64
	waiting atomic.Bool
	idle    chan struct{} // of one element: count may be 0
}

func newWorkers() workers { return workers{idle: make(chan struct{}, 1)} }

func (w *workers) add() { w.count.Add(1) }

func (w *workers) done() {
	if w.count.Add(-1) == 0 && w.waiting.Load() {
		select {
		case w.idle <- struct{}{}:
		default:
		}
	}
}

// wait returns nil when no worker is left, or the error of ctx. Calls follow
// one another.
func (w *workers) wait(ctx context.Context) error {
	w.waiting.Store(true)
	for w.count.Load() > 0 {
		select {
		case <-w.idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
