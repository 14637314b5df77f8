// Package wheel is one timing wheel for the heartbeats and time-outs of a whole
// server: a timer costs a few words and no goroutine, and setting it again, as
// each heartbeat does, a few instructions.
package wheel

import (
	"sync"
	"time"
)

// slots is the number of slots of a wheel. A timer that is further away than
// one turn of so many ticks is looked at once in every turn.
const slots = 512

// farthest bounds durations, so that sums of them do not overflow.
const farthest = time.Duration(1 << 61)

// An Owner is told when its timer has expired. Expire runs on the goroutine of
// the wheel, without its lock: it may set and stop timers. It delays all
// others, so it must neither block nor call Close, and must not panic.
type Owner interface{ Expire(*Timer) }

// Timer is one time-out, embedded in what it belongs to. The zero value is
// stopped. A Timer belongs to one wheel, whose lock guards it, and is not
// copied.
type Timer struct {
	owner      Owner
	next, prev *Timer // in the ring of its slot; nil when stopped
	due        int64  // the tick at which it expires
	slot       int64  // the tick at which it is looked at next: due or earlier
}

// Wheel is a timing wheel. Its methods may be called concurrently and do not
// wait for Expire, except for Close. Its lock is a leaf: nothing else is locked
// while it is held.
//
// Ticks are counted from the start of the wheel. While timers are set, its
// goroutine sleeps until the first slot that is not empty; else until it is
// woken.
type Wheel struct {
	tick  time.Duration
	start time.Time
	wake  chan struct{} // has room for one: the goroutine looks again
	done  sync.WaitGroup

	mu     sync.Mutex
	heads  [slots]Timer // of the rings
	count  int          // of the timers that are set
	at     int64        // the last tick that has been served
	next   int64        // the tick for which the goroutine sleeps; idle if no timer is set
	closed bool
}

// idle is a tick that never comes.
const idle = 1<<63 - 1

// New returns a wheel whose timers never expire early, and at most about one
// tick late. The tick must be positive. Close ends the goroutine that New
// starts.
func New(tick time.Duration) *Wheel {
	w := &Wheel{tick: tick, start: time.Now(), wake: make(chan struct{}, 1)}
	for i := range w.heads {
		w.heads[i].reset()
	}
	w.done.Go(w.run)
	return w
}

// Close ends the goroutine of the wheel and waits for it, and so for an Expire
// under way. No timer expires afterwards, and Set has no effect. Further calls
// only wait.
func (w *Wheel) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	w.done.Wait()
}

// Set makes the timer expire once, in d, in place of what it was set to before.
// An Expire of an earlier setting may still be under way.
func (w *Wheel) Set(t *Timer, owner Owner, d time.Duration) {
	now := time.Since(w.start)
	due := int64((now+min(d, farthest))/w.tick) + 1
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	t.owner, t.due = owner, due
	if t.next == nil {
		if w.count == 0 {
			w.at = max(w.at, int64(now/w.tick)) // nothing was to be served
		}
		w.count++
		w.insert(t)
	} else if t.slot > due {
		t.unlink()
		w.insert(t)
	} // else it is found early in the slot where it is, and moved then
	earlier := t.slot < w.next
	if earlier {
		w.next = t.slot // one signal is enough
	}
	w.mu.Unlock()
	if earlier {
		w.signal()
	}
}

// Stop keeps the timer from expiring. It reports false if the timer was not
// set; an Expire of its last setting may then be under way.
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

// insert puts a timer into the slot of the tick at which it is due, or of the
// next tick: a slot that has been served would wait a whole turn.
func (w *Wheel) insert(t *Timer) {
	t.slot = max(t.due, w.at+1)
	w.heads[t.slot%slots].append(t)
}

// reset makes a timer the head of an empty ring.
func (t *Timer) reset() { t.next, t.prev = t, t }

// append puts t at the end of the ring that head begins.
func (head *Timer) append(t *Timer) {
	t.next, t.prev = head, head.prev
	head.prev.next, head.prev = t, t
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
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, closed := w.sleepUntil()
		switch {
		case closed:
			return
		case next == idle:
			<-w.wake
			continue
		}
		timer.Reset(time.Duration(next)*w.tick - time.Since(w.start))
		select {
		case <-timer.C:
			w.serve(int64(time.Since(w.start) / w.tick))
		case <-w.wake:
		}
	}
}

// sleepUntil returns the tick of the first slot that is not empty. From then on
// Set wakes the goroutine for an earlier one.
func (w *Wheel) sleepUntil() (next int64, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = idle
	if w.count > 0 {
		w.next = w.at + 1
		for w.heads[w.next%slots].next == &w.heads[w.next%slots] {
			w.next++
		}
	}
	return w.next, w.closed
}

// serve expires what is due at the tick now.
func (w *Wheel) serve(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = 0 // awake
	for tick := max(w.at, now-slots) + 1; tick <= now; tick++ {
		w.at = tick
		w.serveSlot(&w.heads[tick%slots], now)
	}
}

// serveSlot expires the timers of a slot, or moves them to where they are due.
// They are set aside first: meanwhile timers may be set into this slot again.
func (w *Wheel) serveSlot(head *Timer, now int64) {
	if head.next == head {
		return
	}
	var visited Timer
	visited.next, visited.prev = head.next, head.prev
	visited.next.prev, visited.prev.next = &visited, &visited
	head.reset()
	for t := visited.next; t != &visited; t = visited.next {
		t.unlink()
		if t.due > now || w.closed {
			w.insert(t)
			continue
		}
		w.count--
		owner := t.owner
		w.mu.Unlock()
		owner.Expire(t)
		w.mu.Lock()
	}
}
