package server

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspan/roomspan/server/internal/wheel"
)

const (
	// restingWorkers is how many workers without work a shard of the pool
	// keeps at most.
	restingWorkers = 64

	// restingTime is for how long a worker may be needless before it ends;
	// after twice that it has ended.
	restingTime = 5 * time.Second
)

// pool keeps workers of sockets for the next socket that has something to do.
// A goroutine that is made for each event begins with the smallest stack, and
// growing that, handler after handler, was an eighth of the cost of an echo.
//
// A worker serves one socket until its inbox is empty, and rests then. Which
// shard it rests in is the business of the connection that it was made for, so
// that connections seldom wait for each other's locks; these are leaves.
type pool struct {
	wheel  *wheel.Wheel
	timer  wheel.Timer
	armed  atomic.Bool // timer is set
	shards []poolShard
	ended  sync.WaitGroup
}

type poolShard struct {
	mu      sync.Mutex
	resting []*worker // who has rested for the shortest time is last, and first to be called
	least   int       // the smallest length of resting since the last look
	closed  bool
	_       [16]byte // keeps the locks of neighbours on cache lines of their own
}

// worker is one goroutine of the pool.
type worker struct {
	shard   *poolShard
	next    chan *Socket // of one element: whoever calls a worker does not wait for it. nil ends it
	counted bool         // in ended: it was made before the pool was closed
}

func newPool(w *wheel.Wheel) *pool {
	return &pool{wheel: w, shards: make([]poolShard, runtime.GOMAXPROCS(0))}
}

// start has a worker do what is in the inbox of a socket.
func (p *pool) start(s *Socket) {
	shard := &p.shards[s.conn.session.Key()%uint32(len(p.shards))]
	shard.mu.Lock()
	if n := len(shard.resting) - 1; n >= 0 {
		w := shard.resting[n]
		shard.resting[n] = nil
		shard.resting = shard.resting[:n]
		shard.least = min(shard.least, n)
		shard.mu.Unlock()
		w.next <- s
		return
	}
	w := &worker{shard: shard, next: make(chan *Socket, 1), counted: !shard.closed}
	if w.counted {
		p.ended.Add(1)
	}
	shard.mu.Unlock()
	go p.run(w, s)
}

// run is the life of a worker.
func (p *pool) run(w *worker, s *Socket) {
	if w.counted {
		defer p.ended.Done() // also when a handler ends the goroutine, by runtime.Goexit
	}
	for s != nil {
		s.work()
		if !p.rest(w) {
			return
		}
		s = <-w.next
	}
}

// rest reports whether a worker is to wait for the next socket.
func (p *pool) rest(w *worker) bool {
	w.shard.mu.Lock()
	ok := !w.shard.closed && len(w.shard.resting) < restingWorkers
	if ok {
		w.shard.resting = append(w.shard.resting, w)
	}
	w.shard.mu.Unlock()
	if ok {
		p.arm()
	}
	return ok
}

func (p *pool) arm() {
	if !p.armed.Load() && p.armed.CompareAndSwap(false, true) {
		p.wheel.Set(&p.timer, p, restingTime)
	}
}

// Expire implements wheel.Owner: workers that nobody needed since the last
// time end.
func (p *pool) Expire(*wheel.Timer) {
	p.armed.Store(false)
	left := false
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		shard.dismiss(shard.least)
		shard.least = len(shard.resting)
		left = left || shard.least > 0
		shard.mu.Unlock()
	}
	if left {
		p.arm()
	}
}

// dismiss ends the n workers that have rested for the longest time.
func (s *poolShard) dismiss(n int) {
	for _, w := range s.resting[:n] {
		w.next <- nil
	}
	kept := copy(s.resting, s.resting[n:])
	clear(s.resting[kept:])
	s.resting = s.resting[:kept]
}

// close ends the workers that rest. All others end when they have nothing more
// to do, and are to be waited for by wait, if at all.
func (p *pool) close() {
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		shard.closed = true
		shard.dismiss(len(shard.resting))
		shard.least = 0
		shard.mu.Unlock()
	}
}

func (p *pool) wait() { p.ended.Wait() }
