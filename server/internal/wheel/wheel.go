// Package wheel is one timing wheel for the heartbeats and time-outs of a whole
// server: a timer costs a few words and no goroutine, and setting one costs a
// few instructions.
package wheel

import (
	"sync"
	"time"
)

// slots is the number of slots of a wheel: a timer further away than one turn
// is looked at once in every turn.
const slots = 512

// An Owner is told when its timer has expired. Expire runs on the goroutine of
// the wheel, without its lock: it may set and stop timers, and must not block.
type Owner interface{ Expire(*Timer) }

// Timer is one time-out, embedded in what it belongs to. The zero value is
// stopped. It is not copied.
type Timer struct {
	owner      Owner
	next, prev *Timer // in its slot; nil when stopped
	due        int64  // tick at which it expires
	slot       int64  // tick whose slot it is in, due or earlier
}

// Wheel is a timing wheel. Its methods may be called concurrently; its lock is
// a leaf.
type Wheel struct {
	tick  time.Duration
	start time.Time
	wake  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	heads  [slots]Timer // rings
	count  int
	at     int64 // the last tick that has been served
	closed bool
}

// New returns a wheel whose timers expire at most about two ticks late, and
// never early. Close ends its goroutine, which sleeps while no timer is set.
func New(tick time.Duration) *Wheel {
	w := &Wheel{tick: tick, start: time.Now(), wake: make(chan struct{}, 1)}
	for i := range w.heads {
		h := &w.heads[i]
		h.next, h.prev = h, h
	}
	w.done.Go(w.run)
	return w
}

// Close ends the goroutine of the wheel and waits for it, and with it for an
// Expire under way. No timer expires afterwards, and none can be set.
func (w *Wheel) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	w.done.Wait()
}

// Set makes the timer expire in d, in place of what it was set to before.
func (w *Wheel) Set(t *Timer, owner Owner, d time.Duration) {
	due := int64((time.Since(w.start)+d)/w.tick) + 1
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	t.owner, t.due = owner, due
	if t.next != nil {
		if t.slot <= due {
			return // found early in its old slot, and moved then
		}
		t.unlink()
		w.count--
	}
	w.insert(t)
	if w.count == 1 {
		w.signal()
	}
}

// Stop keeps the timer from expiring. It reports false if the timer was not
// set; its Expire may then be under way.
func (w *Wheel) Stop(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.next == nil {
		return false
	}
	t.unlink()
	w.count--
	return true
}

func (w *Wheel) insert(t *Timer) {
	// Ticks up to at have been served: a slot behind it would wait a turn.
	t.slot = max(t.due, w.at+1)
	head := &w.heads[t.slot%slots]
	t.next, t.prev = head, head.prev
	head.prev.next, head.prev = t, t
	w.count++
}

func (t *Timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

func (w *Wheel) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Wheel) run() {
	timer := time.NewTimer(w.tick)
	defer timer.Stop()
	for {
		w.mu.Lock()
		closed, idle := w.closed, w.count == 0
		w.mu.Unlock()
		if closed {
			return
		}
		if idle {
			<-w.wake
			continue
		}
		timer.Reset(w.tick)
		select {
		case <-timer.C:
		case <-w.wake:
			continue
		}
		w.serve(int64(time.Since(w.start) / w.tick))
	}
}

// serve expires what is due at the tick now.
func (w *Wheel) serve(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.at + 1
	if now-from >= slots {
		from = now - slots + 1 // one turn meets every timer
	}
	for tick := from; tick <= now && !w.closed; tick++ {
		w.at = tick
		w.serveSlot(&w.heads[tick%slots], now)
	}
	w.at = max(w.at, now)
}

func (w *Wheel) serveSlot(head *Timer, now int64) {
	var moved Timer // those that are not due yet, aside so that the loop ends
	moved.next, moved.prev = &moved, &moved
	for t := head.next; t != head && !w.closed; t = head.next {
		t.unlink()
		w.count--
		if t.due > now {
			t.next, t.prev = &moved, moved.prev
			moved.prev.next, moved.prev = t, t
			w.count++
			continue
		}
		owner := t.owner
		w.mu.Unlock()
		owner.Expire(t)
		w.mu.Lock()
	}
	for t := moved.next; t != &moved; t = moved.next {
		t.unlink()
		w.count--
		w.insert(t)
	}
}
