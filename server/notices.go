package server

import "sync"

// notices are what a namespace has to tell the program that belongs to no
// socket's order of events: events of other nodes, changes of rooms, what was
// sent. They are found out under locks, or by whoever reads the bus, and so
// are told later, one at a time and in order, by a goroutine that lives as
// long as there are any.
type notices struct {
	mu      sync.Mutex
	queue   []func()
	telling bool
}

// notify queues f. Beyond the bound it is dropped and counted.
func (ns *Namespace) notify(f func()) {
	n := &ns.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) >= ns.srv.cfg.notices {
		ns.srv.counters.noticesDropped.Add(1)
		return
	}
	n.queue = append(n.queue, f)
	if !n.telling {
		n.telling = true
		ns.srv.workers.add()
		go ns.tell()
	}
}

func (ns *Namespace) tell() {
	n := &ns.notices
	idle := false
	defer func() {
		if !idle {
			go ns.tell() // a function of the user ended the goroutine, by runtime.Goexit
			return
		}
		ns.srv.workers.done()
	}()
	for {
		n.mu.Lock()
		if len(n.queue) == 0 {
			n.telling = false
			n.queue = nil
			n.mu.Unlock()
			idle = true
			return
		}
		f := n.queue[0]
		n.queue[0] = nil
		n.queue = n.queue[1:]
		n.mu.Unlock()
		f()
	}
}

// call runs a function of the user that is told of something.
func (ns *Namespace) call(what string, s *Socket, f func()) {
	if err := ns.srv.guard(func() error { f(); return nil }); err != nil {
		ns.srv.handlerError(s, what, err)
	}
}
