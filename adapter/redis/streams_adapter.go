package redis

import (
	"context"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// streamAdapter is the adapter of a namespace in the Streams family. Without
// recovery it is a [cluster.Adapter]; with it, what the clients of this node
// receive goes through the line.
type streamAdapter struct {
	*cluster.Adapter
	bus *streamNamespace
}

var _ adapter.Recoverer = (*streamAdapter)(nil)

// Broadcast implements [adapter.Adapter].
func (a *streamAdapter) Broadcast(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) error {
	if !a.bus.recovers() {
		return a.Adapter.Broadcast(p, sel, flags)
	}
	item := &lineItem{packet: p, sel: sel, flags: flags}
	m := &cluster.Message{Type: cluster.Broadcast, Packet: p, Selector: sel, Flags: flags}
	switch {
	case sel.Local:
		return a.bus.line.follow(item)
	case !recoverable(m):
		if err := a.bus.line.follow(item); err != nil {
			return err
		}
		return a.bus.Publish(m)
	}
	return a.bus.line.wait(item, func() (seq uint64, soon bool, err error) {
		seq, err = a.bus.add(m)
		return seq, a.bus.backend.link.isUp(), err
	})
}

// after calls do, which changes who receives, when the clients of this node
// have received what came before.
func (a *streamAdapter) after(m *cluster.Message, do func() error) error {
	if !a.bus.recovers() {
		return do()
	}
	if err := a.bus.line.follow(&lineItem{change: m}); err != nil || m.Selector.Local {
		return err
	}
	return a.bus.Publish(m)
}

// AddSockets implements [adapter.Adapter].
func (a *streamAdapter) AddSockets(sel adapter.Selector, rooms []string) error {
	return a.after(&cluster.Message{Type: cluster.AddSockets, Selector: sel, Rooms: rooms},
		func() error { return a.Adapter.AddSockets(sel, rooms) })
}

// DelSockets implements [adapter.Adapter].
func (a *streamAdapter) DelSockets(sel adapter.Selector, rooms []string) error {
	return a.after(&cluster.Message{Type: cluster.DelSockets, Selector: sel, Rooms: rooms},
		func() error { return a.Adapter.DelSockets(sel, rooms) })
}

// DisconnectSockets implements [adapter.Adapter].
func (a *streamAdapter) DisconnectSockets(sel adapter.Selector, closeConn bool) error {
	return a.after(&cluster.Message{Type: cluster.DisconnectSockets, Selector: sel, CloseConn: closeConn},
		func() error { return a.Adapter.DisconnectSockets(sel, closeConn) })
}

// BroadcastWithAck implements [adapter.Adapter].
func (a *streamAdapter) BroadcastWithAck(ctx context.Context, p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) ([]*adapter.Packet, error) {
	if a.bus.recovers() && ctx.Err() == nil {
		turn := make(chan struct{})
		if err := a.bus.line.follow(&lineItem{turn: turn}); err != nil {
			return nil, err
		}
		select {
		case <-turn: // soon: nothing waits for longer than StreamOffsetWait
		case <-ctx.Done():
		}
	}
	return a.Adapter.BroadcastWithAck(ctx, p, sel, flags)
}

// DelAll implements [adapter.Adapter].
func (a *streamAdapter) DelAll(s adapter.Socket) {
	if !a.bus.recovers() {
		a.Adapter.DelAll(s)
		return
	}
	one := func(yield func(adapter.Socket) bool) { yield(s) }
	a.bus.line.leave(s,
		func(item *lineItem) { a.bus.host.Deliver(item.packet, item.flags, one) },
		func() { a.Adapter.DelAll(s) })
}

// Close implements [adapter.Adapter].
func (a *streamAdapter) Close() error {
	a.bus.line.close()
	return a.Adapter.Close()
}
