package cluster

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// BroadcastWithAck implements [adapter.Adapter].
func (a *Adapter) BroadcastWithAck(ctx context.Context, p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) ([]*adapter.Packet, error) {
	if sel.Local {
		return a.Local.BroadcastWithAck(ctx, p, sel, flags)
	}
	ctx, cancel := a.deadline(ctx)
	defer cancel()
	r, err := a.begin(ctx, BroadcastCount)
	if err != nil {
		return nil, err
	}
	defer a.end(r)
	r.clientsAsked(a.host.Ask(p, flags, a.Sockets(sel), remaining(ctx), r.clientAnswer))
	err = a.ask(ctx, r, &Message{Type: Broadcast, Packet: p, Selector: everywhere(sel), Flags: flags, Timeout: remaining(ctx)})
	return r.packets, err
}

// FetchSockets implements [adapter.Adapter].
func (a *Adapter) FetchSockets(ctx context.Context, sel adapter.Selector) ([]adapter.SocketInfo, error) {
	if sel.Local {
		return a.Local.FetchSockets(ctx, sel)
	}
	ctx, cancel := a.deadline(ctx)
	defer cancel()
	r, err := a.begin(ctx, FetchAnswer)
	if err != nil {
		return nil, err
	}
	defer a.end(r)
	here, err := a.Local.FetchSockets(ctx, sel)
	if err != nil {
		return nil, err
	}
	err = a.ask(ctx, r, &Message{Type: FetchSockets, Selector: everywhere(sel), Timeout: remaining(ctx)})
	return append(here, r.sockets...), err
}

// Rooms implements [adapter.Adapter].
func (a *Adapter) Rooms(ctx context.Context) ([]string, error) {
	ctx, cancel := a.deadline(ctx)
	defer cancel()
	r, err := a.begin(ctx, ListRoomsAnswer)
	if err != nil {
		return nil, err
	}
	defer a.end(r)
	names, err := a.Local.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	err = a.ask(ctx, r, &Message{Type: ListRooms, Timeout: remaining(ctx)})
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		seen[name] = struct{}{}
	}
	for _, name := range r.rooms {
		if _, ok := a.Lookup(name); !ok {
			seen[name] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(seen)), err
}

// ServerSideEmitWithAck implements [adapter.Adapter].
func (a *Adapter) ServerSideEmitWithAck(ctx context.Context, p *adapter.Packet) ([]*adapter.Packet, error) {
	ctx, cancel := a.deadline(ctx)
	defer cancel()
	r, err := a.begin(ctx, ServerSideEmitAnswer)
	if err != nil {
		return nil, err
	}
	defer a.end(r)
	err = a.ask(ctx, r, &Message{Type: ServerSideEmit, Packet: p, Timeout: remaining(ctx)})
	return r.packets, err
}

// deadline returns a context that has a deadline.
func (a *Adapter) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, a.config.RequestTimeout)
}

// remaining returns the time that a context with a deadline has left.
func remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline)
}

// begin puts a request into the table, with the nodes that are known to be
// alive, before it is published: an answer cannot come too early.
func (a *Adapter) begin(ctx context.Context, kind Type) (*request, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := newRequest(a.newID(), kind)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.peers == nil {
		return nil, adapter.ErrClosed
	}
	if a.counter == nil {
		r.waitFor(maps.Keys(a.peers))
	}
	a.pending[r.id] = r
	return r, nil
}

// end takes a request out of the table.
func (a *Adapter) end(r *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, r.id)
}

// abandon returns all requests, and lets none begin any more.
func (a *Adapter) abandon() []*request {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peers = nil
	return slices.Collect(maps.Values(a.pending))
}

// ask publishes a request and waits for its answers. What cannot reach anyone
// is not published: it would be carried out later, when nobody waits for it.
func (a *Adapter) ask(ctx context.Context, r *request, m *Message) error {
	m.RequestID = r.id
	err := a.reachable()
	if err == nil {
		err = a.publish(m)
	}
	if err != nil {
		r.cut(err)
		return r.wait(ctx)
	}
	if a.counter != nil {
		// Counted after publishing: a node that came in between costs time,
		// where it would else cost an answer.
		count, err := a.counter.ServerCount(ctx)
		if err != nil {
			r.blame(err)
		} else {
			if !a.config.Uncounted {
				count--
			}
			r.expect(count)
		}
	}
	if a.reacher != nil {
		a.watch(ctx, r)
	}
	return r.wait(ctx)
}

func (a *Adapter) reachable() error {
	if a.reacher == nil {
		return nil
	}
	_, err := a.reacher.Reachable()
	return err
}

// watch returns when the request has ended, or when the other nodes cannot
// answer any more.
func (a *Adapter) watch(ctx context.Context, r *request) {
	for {
		changed, err := a.reacher.Reachable()
		if err != nil {
			r.cut(err)
			return
		}
		select {
		case <-changed:
		case <-r.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (a *Adapter) receiveAnswer(m *Message) {
	if m.To != "" && m.To != a.config.NodeID {
		return
	}
	a.mu.Lock()
	r := a.pending[m.RequestID]
	a.mu.Unlock()
	if r != nil {
		r.receive(m)
	}
}
