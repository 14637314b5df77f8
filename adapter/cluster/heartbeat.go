package cluster

import (
	"maps"
	"slices"
	"time"
)

// sweeps is how often within HeartbeatTimeout the silent nodes are looked for.
const sweeps = 10

// beat tells the others that this node is alive, and finds those that are not.
func (a *Adapter) beat() {
	heartbeat := time.NewTicker(a.config.HeartbeatInterval)
	defer heartbeat.Stop()
	sweep := time.NewTicker(max(a.config.HeartbeatTimeout/sweeps, time.Millisecond))
	defer sweep.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-heartbeat.C:
			_ = a.publish(&Message{Type: Heartbeat})
		case <-sweep.C:
			a.sweep()
		}
	}
}

// sweep forgets the nodes that have been silent for too long.
func (a *Adapter) sweep() {
	limit := time.Now().Add(-a.config.HeartbeatTimeout)
	a.mu.Lock()
	var dead []string
	for id, heard := range a.peers {
		if heard.Before(limit) {
			dead = append(dead, id)
		}
	}
	a.mu.Unlock()
	for _, id := range dead {
		a.forget(id, limit)
	}
}

// heard notes that the sender of a message lives. Only Hello and Heartbeat
// make a node known: a program that merely publishes would be waited for in
// vain.
func (a *Adapter) heard(m *Message) {
	if a.counter != nil || m.Sender == "" {
		return
	}
	if m.Type == Goodbye {
		a.forget(m.Sender, time.Now())
		return
	}
	a.mu.Lock()
	_, known := a.peers[m.Sender]
	if a.peers != nil && (known || m.Type == Hello || m.Type == Heartbeat) {
		a.peers[m.Sender] = time.Now()
	}
	a.mu.Unlock()
	if m.Type == Hello {
		_ = a.publish(&Message{Type: Heartbeat})
	}
}

// forget drops a node that was not heard after limit, and no longer waits for
// its answers.
func (a *Adapter) forget(id string, limit time.Time) {
	a.mu.Lock()
	heard, known := a.peers[id]
	if !known || heard.After(limit) {
		a.mu.Unlock()
		return
	}
	delete(a.peers, id)
	waiting := slices.Collect(maps.Values(a.pending))
	a.mu.Unlock()
	for _, r := range waiting {
		r.gone(id)
	}
}
