package redis

import (
	"slices"
	"time"
)

const (
	// parkTime is how long a request waits for what its sender has put into
	// the stream before it: nearly always, both arrive together.
	parkTime = 250 * time.Millisecond

	// maxParked bounds how many requests of one namespace wait.
	maxParked = 1024
)

// parked is a request that came by Pub/Sub before an entry that was sent
// earlier. Node's nodes do not tell which that is, nor wait.
type parked struct {
	m     *clusterMessage
	until time.Time
}

// park keeps a request that has to wait, and reports whether it does. For a
// sender of which nothing is known nobody waits: its entries may have been
// there before this node. n.mu is held.
func (n *streamNamespace) park(m *clusterMessage) bool {
	s, known := n.senders[m.uid]
	if !known || m.after <= s.seq || len(n.parked) >= maxParked {
		return false
	}
	n.parked = append(n.parked, parked{m, time.Now().Add(parkTime)})
	if n.parkTimer == nil {
		n.parkTimer = time.AfterFunc(parkTime, n.unparkLate)
	} else if len(n.parked) == 1 {
		n.parkTimer.Reset(parkTime)
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
	n.unparkIf(func(p parked) bool { return !p.until.After(now) })
	if len(n.parked) > 0 {
		n.parkTimer.Reset(n.parked[0].until.Sub(now))
	}
}

func (n *streamNamespace) unparkIf(free func(parked) bool) {
	if len(n.parked) == 0 {
		return
	}
	n.parked = slices.DeleteFunc(n.parked, func(p parked) bool {
		if !free(p) {
			return false
		}
		if err := n.pass(p.m, ""); err != nil {
			n.backend.complain(n.public, err)
		}
		return true
	})
}
