package redis

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// errConnecting is the state of a link before the first attempt has ended.
var errConnecting = errors.New("still connecting")

type linkState uint8

const (
	linkStarting    linkState = iota // no attempt has failed or succeeded
	linkUnreachable                  // never was up
	linkUp
	linkLost
)

// link is the state on which publisher and subscriber agree, and the only
// place that tells of its changes: one line in the log and one call of the feed
// for each. The publisher alone brings it up; both bring it down.
//
// Lock order: mu, then that of the queue, or of the feed.
type link struct {
	log   *slog.Logger
	feed  *adapter.StatusFeed
	queue *queue // is held while the link is not up

	mu         sync.Mutex // not held while a line is logged, which may block
	state      linkState
	hears      bool                // the subscriptions of the present connection are confirmed
	unread     map[string]struct{} // streams that are to be read, and are not
	cause      error               // why the link is not up
	since      time.Time           // of the present state
	reconnects uint64
	changed    chan struct{}
	lines      []func() // of the log, to be written
	logging    bool     // somebody writes them
}

func newLink(log *slog.Logger, feed *adapter.StatusFeed, q *queue) *link {
	l := &link{log: log, feed: feed, queue: q, cause: errConnecting, since: time.Now(), changed: make(chan struct{})}
	q.hold(&unreachable{errConnecting})
	return l
}

// unreachable is the error of what cannot be sent to other nodes now.
type unreachable struct{ cause error }

// Error implements error.
func (e *unreachable) Error() string { return "redis: not connected: " + e.cause.Error() }

// Unwrap returns the cause, and what it comes to.
func (e *unreachable) Unwrap() []error { return []error{adapter.ErrUnreachable, e.cause} }

// report returns what a user is told.
func (l *link) report() adapter.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reportLocked()
}

func (l *link) reportLocked() adapter.Status {
	return adapter.Status{Connected: l.state == linkUp, Err: l.cause, Since: l.since}
}

// change tells of a new state. l.mu is held; write is to follow when it is not.
func (l *link) change(line func()) {
	l.feed.Tell(l.reportLocked())
	l.lines = append(l.lines, line)
	l.notify()
}

// write writes the lines that are to be logged, in their order, unless somebody
// else does.
func (l *link) write() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logging {
		return
	}
	l.logging = true
	for len(l.lines) > 0 {
		line := l.lines[0]
		l.lines = l.lines[1:]
		l.mu.Unlock()
		line()
		l.mu.Lock()
	}
	l.lines, l.logging = nil, false
}

// watch returns a channel that is closed at the next change.
func (l *link) watch() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// notify wakes all who watch. l.mu is held.
func (l *link) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// touch wakes all who watch after a change that is kept elsewhere.
func (l *link) touch() {
	l.mu.Lock()
	l.notify()
	l.mu.Unlock()
}

func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == linkUp
}

// status returns nil if the link is up, else why it is not.
func (l *link) status() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == linkUp {
		return nil
	}
	return l.cause
}

// reachable is what [cluster.Reacher] asks for.
func (l *link) reachable() (changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != linkUp {
		err = &unreachable{l.cause}
	}
	return l.changed, err
}

// upFor returns for how long the link has been up: zero if it is not.
func (l *link) upFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != linkUp {
		return 0
	}
	return time.Since(l.since)
}

// up brings the link up. It reports false if the subscriptions are not there
// to hear with. expired is how many messages were too old to be sent.
func (l *link) up(backlog, expired int) bool {
	defer l.write()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hears || len(l.unread) > 0 {
		return false
	}
	now := time.Now()
	attrs := []any{"backlog", backlog, "expired", expired}
	line := func() { l.log.Info("redis: connected", attrs...) }
	switch l.state {
	case linkUp:
		return true
	case linkLost:
		l.reconnects++
		attrs = append([]any{"after", now.Sub(l.since)}, attrs...)
		line = func() { l.log.Info("redis: connection resumed", attrs...) }
	}
	l.state, l.cause, l.since = linkUp, nil, now
	l.queue.release()
	l.change(line)
	return true
}

// down records that Redis cannot be reached.
func (l *link) down(cause error) {
	defer l.write()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.state {
	case linkUp:
		l.state, l.cause, l.since = linkLost, cause, time.Now()
		l.change(func() { l.log.Warn("redis: connection lost", "error", cause) })
	case linkStarting:
		l.state, l.cause = linkUnreachable, cause
		l.change(func() { l.log.Warn("redis: cannot connect, trying on", "error", cause) })
	default:
		l.cause = cause
	}
	l.queue.hold(&unreachable{cause})
}

// flows records that Redis takes again what it had refused.
func (l *link) flows() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == linkUp {
		l.queue.release()
	}
}

// deaf records that this node hears nothing.
func (l *link) deaf(cause error) {
	l.mu.Lock()
	l.hears = false
	l.mu.Unlock()
	l.down(cause)
}

// hearing records that all subscriptions are confirmed.
func (l *link) hearing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hears {
		l.hears = true
		l.notify()
	}
}

// end records that the back-end was closed, without a line in the log.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.hears, l.cause, l.since = linkUnreachable, false, adapter.ErrClosed, time.Now()
	l.notify()
	l.feed.End(l.reportLocked())
}

func (l *link) canHear() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hears && len(l.unread) == 0
}

// awaitSubscribed returns when the subscriptions of the present connection are
// confirmed. It reports false when ctx has ended.
func (l *link) awaitSubscribed(ctx context.Context) bool {
	for {
		l.mu.Lock()
		hears, changed := l.hears, l.changed
		l.mu.Unlock()
		if hears {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// unreadable records that a stream is not being read; cause is nil before the
// first attempt.
func (l *link) unreadable(stream string, cause error) {
	l.mu.Lock()
	if l.unread == nil {
		l.unread = make(map[string]struct{})
	}
	l.unread[stream] = struct{}{}
	l.mu.Unlock()
	if cause != nil {
		l.down(cause)
	}
}

// reading records that a stream is being read.
func (l *link) reading(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.unread[stream]; ok {
		delete(l.unread, stream)
		l.notify()
	}
}

func (l *link) reconnectCount() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reconnects
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// backoff yields the pauses between attempts: doubling, each cut by up to a
// half at random, so that the nodes of a cluster do not return at one moment.
// The zero value is ready.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(minBackoff, 2*b.last), maxBackoff)
	return b.last - rand.N(b.last/2)
}

func (b *backoff) reset() { b.last = 0 }
