package adapter

import (
	"context"
	"sync"
	"time"
)

// ackTimeout is the deadline of a call whose context has none.
const ackTimeout = 5 * time.Second

// BroadcastWithAck implements [Adapter].
func (l *Local) BroadcastWithAck(ctx context.Context, p *Packet, sel Selector, flags Flags) ([]*Packet, error) {
	if l.closed.Load() {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		var cancel context.CancelFunc
		deadline = time.Now().Add(ackTimeout)
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	w := ackWait{done: make(chan struct{})}
	w.expect(l.host.Ask(p, flags, l.Sockets(sel), time.Until(deadline), w.answer))
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	return w.result(ctx)
}

// ackWait gathers the acknowledgements of one broadcast.
type ackWait struct {
	done chan struct{} // closed when all asked have answered or will not

	mu       sync.Mutex
	expected int  // how many were asked, once known
	known    bool // Ask has returned
	settled  int  // how many have answered or will not
	returned bool // answers come too late
	packets  []*Packet
}

func (w *ackWait) answer(p *Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.returned {
		return
	}
	w.settled++
	if p != nil {
		w.packets = append(w.packets, p)
	}
	w.check()
}

func (w *ackWait) expect(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected, w.known = n, true
	w.check()
}

func (w *ackWait) check() {
	if w.known && w.settled == w.expected {
		close(w.done)
	}
}

func (w *ackWait) result(ctx context.Context) ([]*Packet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned = true
	if len(w.packets) == w.expected {
		return w.packets, nil
	}
	cause := ctx.Err()
	if cause == nil {
		cause = ErrNoAnswer
	}
	return w.packets, &MissingAnswersError{Expected: w.expected, Received: len(w.packets), Cause: cause}
}
