package adapter

import (
	"errors"
	"fmt"
	"sync"
)

// errSilent is the state of a part that does not say why it is not connected.
var errSilent = errors.New("not connected")

// statusOf returns the state of any back-end. One that does not report it says
// in its counters whether it is connected.
func statusOf(b Backend) Status {
	if r, ok := b.(StatusReporter); ok {
		return r.Status()
	}
	if b.Stats().Connected {
		return Status{Connected: true}
	}
	return Status{Err: errSilent}
}

// onStatus registers fn with a back-end, if that tells of its changes.
func onStatus(b Backend, fn func(Status)) (remove func()) {
	if r, ok := b.(StatusReporter); ok {
		return r.OnStatus(fn)
	}
	return func() {}
}

// Status implements [StatusReporter].
func (n *named) Status() Status { return statusOf(n.Backend) }

// OnStatus implements [StatusReporter]. A back-end that tells nobody of its
// changes does not do so by this.
func (n *named) OnStatus(fn func(Status)) (remove func()) { return onStatus(n.Backend, fn) }

// Status implements [StatusReporter].
func (j *joined) Status() Status {
	parts := make([]Status, len(j.backends))
	for i, b := range j.backends {
		parts[i] = statusOf(b)
	}
	return j.status(parts)
}

// status is the state of the whole: connected since the last part is, or not
// connected since the first of those that are not.
func (j *joined) status(parts []Status) Status {
	whole, closed := Status{Connected: true}, 0
	var errs []error
	for i, s := range parts {
		if s.Connected {
			continue
		}
		if whole.Connected || s.Since.Before(whole.Since) {
			whole.Connected, whole.Since = false, s.Since
		}
		if errors.Is(s.Err, ErrClosed) {
			closed++
		}
		errs = append(errs, fmt.Errorf("%s: %w", j.fleetName(i), s.Err))
	}
	switch {
	case whole.Connected:
		for _, s := range parts {
			if s.Since.After(whole.Since) {
				whole.Since = s.Since
			}
		}
	case closed == len(parts):
		whole.Err = ErrClosed
	default:
		whole.Err = errors.Join(errs...)
	}
	return whole
}

func (j *joined) fleetName(i int) string {
	if f, ok := j.backends[i].(interface{ Fleet() string }); ok {
		return f.Fleet()
	}
	return fmt.Sprintf("%T", j.backends[i])
}

// OnStatus implements [StatusReporter]: fn is called for each change of a part,
// with the state of the whole.
func (j *joined) OnStatus(fn func(Status)) (remove func()) {
	var (
		feed  StatusFeed
		mu    sync.Mutex // held while the change of one part is passed on
		parts = make([]Status, len(j.backends))
	)
	removes := []func(){feed.Watch(fn)}
	mu.Lock()
	defer mu.Unlock()
	for i, b := range j.backends {
		removes = append(removes, onStatus(b, func(s Status) {
			mu.Lock()
			defer mu.Unlock()
			parts[i] = s
			feed.SetLogger(j.log)
			feed.Tell(j.status(parts))
		}))
		parts[i] = statusOf(b)
	}
	return func() {
		for _, remove := range removes {
			remove()
		}
	}
}
