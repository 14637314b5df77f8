package zishang520

import "sync"

// queue is what the listeners of a namespace are to be told: events of other
// nodes and changes of rooms. They are found out by whoever reads the bus, or
// under locks, and so are told later, one at a time and in order, by a
// goroutine that lives as long as there are any.
type queue struct {
	cluster *Cluster

	mu      sync.Mutex // a leaf
	calls   []func()
	calling bool
}

// push adds a call. Beyond the bound it is dropped and counted.
func (q *queue) push(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.calls) >= q.cluster.eventLimit {
		q.cluster.dropped.Add(1)
		return
	}
	q.calls = append(q.calls, f)
	if !q.calling {
		q.calling = true
		q.cluster.work.Go(q.run)
	}
}

func (q *queue) run() {
	idle := false
	defer func() {
		if !idle {
			q.cluster.work.Go(q.run) // a listener ended the goroutine, by runtime.Goexit
		}
	}()
	for {
		q.mu.Lock()
		if len(q.calls) == 0 {
			q.calling, q.calls = false, nil
			q.mu.Unlock()
			idle = true
			return
		}
		f := q.calls[0]
		q.calls[0] = nil
		q.calls = q.calls[1:]
		q.mu.Unlock()
		q.cluster.guard(f)
	}
}
