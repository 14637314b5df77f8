package outbound

import (
	"runtime"
	"sync"
	"time"
)

// Target is a connection that has something to write. Its methods are called
// on a goroutine of the Flusher and do not wait for the peer.
type Target interface {
	// Flush writes what is queued, if nobody has reason to gather more.
	Flush()

	// FlushOverdue writes what is queued although somebody gathers.
	FlushOverdue()
}

// patience is how long a handler that has emitted to its own client may keep
// what it emitted from being written, in the hope of more.
const patience = time.Millisecond

// Flusher writes for those who must not: who emits only queues, and goes on.
// While the flusher is busy with one connection, more gathers for the next,
// and goes out in one write. It is a few goroutines for the whole server.
type Flusher struct {
	shards []flushShard
	wg     sync.WaitGroup
}

type flushShard struct {
	mu     sync.Mutex
	now    []Target
	later  []Target
	closed bool
	wake   chan struct{}
	_      [40]byte // keeps the locks of neighbours on cache lines of their own
}

// NewFlusher returns a Flusher with a goroutine for each processor.
func NewFlusher() *Flusher {
	f := &Flusher{shards: make([]flushShard, runtime.GOMAXPROCS(0))}
	for i := range f.shards {
		s := &f.shards[i]
		s.wake = make(chan struct{}, 1)
		f.wg.Go(s.run)
	}
	return f
}

// Schedule has t.Flush called soon. Calls with the same key are served by one
// goroutine, in order.
func (f *Flusher) Schedule(t Target, key uint32) {
	s := &f.shards[key%uint32(len(f.shards))]
	s.mu.Lock()
	first := len(s.now) == 0
	s.now = append(s.now, t)
	s.mu.Unlock()
	if first {
		s.signal()
	}
}

// Later has t.FlushOverdue called after at most about a millisecond.
func (f *Flusher) Later(t Target, key uint32) {
	s := &f.shards[key%uint32(len(f.shards))]
	s.mu.Lock()
	first := len(s.later) == 0
	s.later = append(s.later, t)
	s.mu.Unlock()
	if first {
		s.signal()
	}
}

// Close ends the goroutines and returns when they have ended. What is
// scheduled is still flushed; what is scheduled afterwards is not.
func (f *Flusher) Close() {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.signal()
	}
	f.wg.Wait()
}

func (s *flushShard) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *flushShard) run() {
	var now, later []Target
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	due, armed := false, false
	for {
		s.mu.Lock()
		now, s.now = s.now, now[:0]
		if due {
			later, s.later = s.later, later[:0]
		}
		waiting, closed := len(s.later) > 0, s.closed
		s.mu.Unlock()
		for i, t := range now {
			t.Flush()
			now[i] = nil
		}
		if due {
			for i, t := range later {
				t.FlushOverdue()
				later[i] = nil
			}
			later = shrink(later)
			due, armed = false, false
		}
		work := len(now) > 0
		now = shrink(now)
		if closed {
			return
		}
		if waiting && !armed {
			timer.Reset(patience)
			armed = true
		}
		if work { // more may have gathered, but what is overdue has its turn too
			select {
			case <-timer.C:
				due = true
			default:
			}
			continue
		}
		select {
		case <-s.wake:
		case <-timer.C:
			due = true
		}
	}
}

// shrink lets go of a list that one large broadcast has grown.
func shrink(list []Target) []Target {
	if cap(list) > 1<<14 {
		return nil
	}
	return list[:0]
}
