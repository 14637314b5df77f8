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
// does. n.mu is held.
func (n *streamNamespace) park(m *clusterMessage, size int) bool {
	if s := n.senders[m.uid]; m.after <= max(s.seq, s.past) {
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
	n.unparkIf(func(p parked) bool {
		if p.until.After(now) {
			return false
		}
		if s := n.senders[p.m.uid]; s.seq > 0 {
			n.backend.streams.counters.earlyRequests.Add(1)
		} else {
			// What it sent was there before this node: only the first of its
			// requests waits for that.
			s.past = max(s.past, p.m.after)
			n.remember(p.m.uid, s)
		}
		return true
	})
	if len(n.parked) > 0 {
		n.parkTimer.Reset(n.parked[0].until.Sub(now))
	}
}

func (n *streamNamespace) unparkIf(free func(parked) bool) {
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
}
