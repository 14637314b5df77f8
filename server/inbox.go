package server

import "sync"

// task is one thing that a socket's worker does: an event to handle, of which
// it is a part, or a step of the socket's life.
type task struct {
	next  *task
	event *Event
	run   func()
	last  bool // run is the end of the socket; it counts like an event until it is done
}

// inbox is the tasks that a socket has not done yet.
type inbox struct{ first, last *task }

func (in *inbox) push(t *task) {
	if in.first == nil {
		in.first = t
	} else {
		in.last.next = t
	}
	in.last = t
}

// pop returns the oldest task, nil if there is none.
func (in *inbox) pop() *task {
	t := in.first
	if t != nil {
		in.first, t.next = t.next, nil // who keeps an event keeps no other
	}
	if in.first == nil {
		in.last = nil
	}
	return t
}

// askedFactor is how much further a client is read while something waits for
// its acknowledgement. A handler that waits for an ack of its own client would
// else starve: the ack may stand behind events that fill the inbox, and the
// inbox does not empty before the handler returns. Beyond this second bound
// the client is not read all the same, and the wait ends by its time-out.
const askedFactor = 16

// event puts an event into the inbox of its socket. It runs on the reading
// goroutine, and blocks while the inbox is full.
func (c *conn) event(namespace string, ev *Event) error {
	c.mu.Lock()
	s, late := c.socketOfLocked(namespace)
	if s == nil {
		c.mu.Unlock()
		if late {
			return nil
		}
		return c.outOfPlace()
	}
	ev.ns, ev.socket = s.ns, s
	if c.srv.cfg.rate != nil {
		c.mu.Unlock()
		if !s.withinRate(ev) {
			return nil
		}
		c.mu.Lock()
	}
	c.receiveLocked(s, ev)
	c.mu.Unlock()
	return nil
}

func (c *conn) receiveLocked(s *Socket, ev *Event) {
	if c.kick != nil && c.kick != s {
		c.workLocked(c.kick)
		c.kick = nil
	}
	if c.fullLocked() {
		c.workLocked(s)
		c.waitLocked()
	}
	if c.closed || s.state == stateClosed {
		return
	}
	ev.task.event = ev
	s.inbox.push(&ev.task)
	c.queued++
	c.bytes += ev.size()
	c.kick = s
}

func (c *conn) fullLocked() bool {
	factor := 1
	if c.asked > 0 {
		factor = askedFactor
	}
	// Divided, since the limits may be as large as an int can be.
	return !c.closed &&
		(c.queued/factor >= c.srv.cfg.inboundEvents || c.bytes/factor >= c.srv.cfg.inboundBytes)
}

func (c *conn) waitLocked() {
	if c.space == nil {
		c.space = sync.NewCond(&c.mu)
	}
	c.srv.counters.inboundPauses.Add(1)
	c.session.Pause()
	for c.fullLocked() {
		c.space.Wait()
	}
	c.session.Resume()
}

// workLocked starts the worker of a socket that has something to do.
func (c *conn) workLocked(s *Socket) {
	if !s.working && s.inbox.first != nil {
		s.working = true
		c.srv.workers.add()
		c.srv.pool.start(s)
	}
}

// work does what is in the inbox, in order, and ends when it is empty. What
// handlers send to their own client meanwhile goes out together.
func (s *Socket) work() {
	c := s.conn
	idle := false
	c.session.Cork()
	defer func() {
		c.session.Uncork()
		if !idle {
			c.srv.pool.start(s) // a handler ended its goroutine, by runtime.Goexit
			return
		}
		c.srv.workers.done()
	}()
	for {
		c.mu.Lock()
		t := s.inbox.pop()
		if t == nil {
			s.working = false
			c.mu.Unlock()
			idle = true
			return
		}
		if t.event != nil {
			c.takenLocked(t.event)
		}
		c.mu.Unlock()
		if t.event != nil {
			s.handle(t.event)
			t.event.release()
		} else {
			s.step(t)
		}
	}
}

// step does a step of the socket's life.
func (s *Socket) step(t *task) {
	if t.last {
		c := s.conn
		defer func() {
			c.mu.Lock()
			c.queued--
			c.signalLocked()
			c.mu.Unlock()
		}()
	}
	t.run()
}

// takenLocked accounts for an event that has left an inbox.
func (c *conn) takenLocked(ev *Event) {
	c.queued--
	c.bytes -= ev.size()
	c.signalLocked()
}

// signalLocked wakes the reading goroutine to look at the bounds again.
func (c *conn) signalLocked() {
	if c.space != nil {
		c.space.Broadcast()
	}
}
