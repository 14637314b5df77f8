package adapter

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// ErrUnreachable is wrapped by the errors that say that other nodes cannot be
// reached now: those of back-ends that fail fast, and the causes of a
// [MissingAnswersError]. What concerns this node has been done all the same.
var ErrUnreachable = errors.New("adapter: other nodes cannot be reached")

// Status is the state of the connection between a node and its cluster.
type Status struct {
	// Connected says whether the bus can be reached and heard.
	Connected bool

	// Err is why not, and nil if it can: that it has not been tried yet, what
	// the last attempt failed with, or [ErrClosed].
	Err error

	// Since is when the bus was found or lost, or when the back-end was
	// started or closed. It is zero before Start.
	Since time.Time
}

// A StatusReporter is a [Backend] that tells when its bus is found and lost, as
// those of this module do. The one that [Join] returns tells of each of its
// parts: it is connected when all are, and Err says which are not.
type StatusReporter interface {
	Backend

	// Status returns the present state. It never blocks.
	Status() Status

	// OnStatus registers a function for each later change of the state: the
	// bus was found, was lost, or could not be found when it was first looked
	// for. The last call tells of Close. That another attempt has failed is no
	// change.
	//
	// Calls come one after the other, in order, on a goroutine that lives only
	// while there is something to tell. The function may block, and may call
	// anything: nothing waits for it, Close neither. At most 64 changes wait
	// for it; beyond that the oldest are left out, so that the last one is
	// always told.
	//
	// remove ends the calls; one may still be under way when it returns.
	// OnStatus may be called at any time, also before Start, and from any
	// goroutine.
	OnStatus(fn func(Status)) (remove func())
}

// maxUntold is how many changes wait for one function.
const maxUntold = 64

// StatusFeed calls functions for changes of a [Status], as OnStatus of
// [StatusReporter] promises: what a back-end that reports keeps for it. The zero
// value is ready. Its methods never block, and may be called concurrently.
type StatusFeed struct {
	mu       sync.Mutex // not held while a function is called
	watchers []*statusWatcher
	log      *slog.Logger // nil if panics are not logged
	ended    bool
}

// statusWatcher is one function, with the changes that it is still to be told
// of. All is guarded by StatusFeed.mu.
type statusWatcher struct {
	tell    func(Status)
	untold  []Status
	telling bool // the goroutine that calls tell lives
}

// SetLogger sets where panics of the functions are logged, which end nothing
// but the call.
func (f *StatusFeed) SetLogger(log *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = log
}

// Watch registers a function, unless the feed has ended.
func (f *StatusFeed) Watch(fn func(Status)) (remove func()) {
	w := &statusWatcher{tell: fn}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.watchers = append(f.watchers, w)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.untold = nil
		f.watchers = slices.DeleteFunc(f.watchers, func(other *statusWatcher) bool { return other == w })
	}
}

// Tell tells all functions of a change. Changes are told in the order of the
// calls.
func (f *StatusFeed) Tell(s Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.watchers {
		if len(w.untold) == maxUntold {
			w.untold = slices.Delete(w.untold, 0, 1)
		}
		w.untold = append(w.untold, s)
		if !w.telling {
			w.telling = true
			go f.run(w)
		}
	}
}

// End tells of the last change, which is that of Close, and forgets all
// functions.
func (f *StatusFeed) End(last Status) {
	f.Tell(last)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers, f.ended = nil, true
}

// run calls the function of a watcher until it has been told of everything.
func (f *StatusFeed) run(w *statusWatcher) {
	for {
		f.mu.Lock()
		if len(w.untold) == 0 {
			w.telling = false
			f.mu.Unlock()
			return
		}
		s, log := w.untold[0], f.log
		w.untold = w.untold[1:]
		f.mu.Unlock()
		w.call(s, log)
	}
}

func (w *statusWatcher) call(s Status, log *slog.Logger) {
	defer func() {
		if r := recover(); r != nil && log != nil {
			log.Error("panic in a function of OnStatus", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	w.tell(s)
}
