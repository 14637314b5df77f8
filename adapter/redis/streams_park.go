package redis

import (
	"slices"
	"time"
)

// parked is a request that came by Pub/Sub before an entry that was sent
// earlier. Node's nodes do not tell which that is, nor wait.
type parked struct {
	m     *clusterMessage
	size  int
	until time.Time
}

// park keeps a request of some bytes that has to wait, and reports whether it
// does. For a sender of which nothing is known nobody waits: its entries may
// have been there before this node. n.mu is held.
func (n *streamNamespace) park(m *clusterMessage, size int) bool {
	s, known := n.senders[m.uid]
	if !known || m.after <= s.seq {
		return false
	}
	c, wait := &n.backend.config, n.backend.config.streams.requestWait
	if wait == 0 || len(n.parked) >= c.backlogMessages || n.parkedBytes+size > c.backlogBytes {
		n.backend.streams.counters.earlyRequests.Add(1)
		return false
	}
	n.parked = append(n.parked, parked{m, size, time.Now().Add(wait)})
	n.parkedBytes += size
	if n.parkTimer == nil {
		n.parkTimer = time.AfterFunc(wait, n.unparkLate)
	} else if len(n.parked) == 1 {
		n.parkTimer.Reset(wait)
	}
	return true
}

// unpark handles the requests that an entry has let go. n.mu is held.
func (n *streamNamespace) unpark(uid string) {
	n.unparkIf(func(p parked) bool { return p.m.uid == uid && p.m.after <= n.senders[uid].seq })
}

// unparkLate handles the requests that have waited for too long.
func (n *streamNamespace) unparkLate() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	now := time.Now()
	early := n.unparkIf(func(p parked) bool { return !p.until.After(now) })
	n.backend.streams.counters.earlyRequests.Add(uint64(early))
	if len(n.parked) > 0 {
		n.parkTimer.Reset(n.parked[0].until.Sub(now))
	}
}

// unparkIf handles some of the requests, and returns how many.
func (n *streamNamespace) unparkIf(free func(parked) bool) int {
	before := len(n.parked)
	n.parked = slices.DeleteFunc(n.parked, func(p parked) bool {
		if !free(p) {
			return false
		}
		n.parkedBytes -= p.size
		if err := n.pass(p.m, ""); err != nil {
			n.backend.complain(n.public, err)
		}
		return true
	})
	return before - len(n.parked)
}
