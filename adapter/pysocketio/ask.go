package pysocketio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

const (
	// defaultDeadline is that of a call whose context has none.
	defaultDeadline = 5 * time.Second

	// maxAnswers bounds how many answers of Python's clients one call keeps.
	maxAnswers = 1 << 16
)

// asks are the questions to clients of Python nodes that are open.
type asks struct {
	stop chan struct{} // closed when the namespace is

	mu   sync.Mutex
	last uint64
	open map[uint64]*ask
}

// ask is one question. Its answers are guarded by asks.mu.
type ask struct {
	id      uint64
	packets []*adapter.Packet
	first   chan struct{} // closed with the first answer
}

func (a *asks) begin() *ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	q := &ask{id: a.last, first: make(chan struct{})}
	if a.open == nil {
		a.open = make(map[uint64]*ask)
	}
	a.open[q.id] = q
	return q
}

// end returns the answers to a question, to which none is added any more.
func (a *asks) end(q *ask) []*adapter.Packet {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, q.id)
	return q.packets
}

func (a *asks) answered(id uint64, p *adapter.Packet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.open[id]
	if q == nil || len(q.packets) == maxAnswers {
		return
	}
	if q.packets = append(q.packets, p); len(q.packets) == 1 {
		close(q.first)
	}
}

// BroadcastWithAck implements [adapter.Adapter]. A Python node does not tell
// how many clients it asks. So while there are Python nodes the call lasts
// until its context ends, and says that answers may be missing, unless it is
// for one socket. While Redis is away it asks the clients of this node alone.
func (n *namespace) BroadcastWithAck(ctx context.Context, p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) ([]*adapter.Packet, error) {
	if sel.Local || n.isHere(sel) || ctx.Err() != nil || n.closed.Load() {
		return n.Adapter.BroadcastWithAck(ctx, p, sel, flags)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
	}
	q := n.asks.begin()
	defer n.asks.end(q)
	end, err := n.backend.overhear(ctx)
	defer end()
	asked := err == nil && n.askPython(q, p, sel, flags)
	packets, err := n.Adapter.BroadcastWithAck(ctx, p, sel, flags)
	missing := (*adapter.MissingAnswersError)(nil)
	if !asked || err != nil && !errors.As(err, &missing) {
		return packets, err
	}
	pythonErr := n.await(ctx, q, sel, len(packets) > 0)
	more := n.asks.end(q)
	packets = append(packets, more...)
	switch {
	case missing != nil:
		err = &adapter.MissingAnswersError{Expected: missing.Expected + len(more), Received: len(packets), Cause: missing.Cause}
	case pythonErr != nil:
		err = &adapter.MissingAnswersError{Expected: len(packets) + 1, Received: len(packets), Cause: pythonErr}
	}
	return packets, err
}

// askPython publishes a question for the clients of Python nodes, if Python
// has words for it, and if it arrives: it would be asked later, when nobody
// waits for the answer.
func (n *namespace) askPython(q *ask, p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) bool {
	config := &n.backend.config
	if _, err := n.backend.conn.Reachable(); err != nil {
		return false
	}
	if expressible(sel) {
		payload, ok := appendEmit(nil, n.name, n.hostID, p, sel, flags, &q.id, config.layout)
		if ok {
			return n.backend.conn.Publish(config.channel, payload) == nil
		}
	}
	n.backend.conn.CountDropped()
	return false
}

// isHere reports whether a selector is for one socket, of this node.
func (n *namespace) isHere(sel adapter.Selector) bool {
	if len(sel.Rooms) != 1 {
		return false
	}
	_, here := n.Lookup(sel.Rooms[0])
	return here
}

// await returns nil when no more answers of Python's clients can come, else
// why they were not waited for.
func (n *namespace) await(ctx context.Context, q *ask, sel adapter.Selector, answered bool) error {
	var first chan struct{}
	if len(sel.Rooms) == 1 && adapter.LooksLikeID(sel.Rooms[0]) {
		if answered {
			return nil // the socket is on a node of Roomspan
		}
		first = q.first
	}
	config := &n.backend.config
	counts, err := n.backend.conn.Listeners(ctx, config.channel, config.ownChannel())
	if err != nil {
		return err
	}
	if counts[config.channel] <= counts[config.ownChannel()] {
		return nil
	}
	for {
		changed, err := n.backend.conn.Reachable()
		if err != nil {
			return err
		}
		select {
		case <-first:
			return nil
		case <-n.asks.stop:
			return adapter.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
