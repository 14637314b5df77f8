package server

import (
	"context"
	"errors"
	"sync"

	"github.com/roomspan/roomspan/adapter"
)

// children is the adapter of a parent: what is asked of it is asked of the
// adapters of all children. A parent has no sockets of its own.
type children struct{ parent *Namespace }

var _ adapter.Adapter = children{}

func (c children) list() []adapter.Adapter {
	s := c.parent.srv
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]adapter.Adapter, 0, len(c.parent.kin))
	for ns := range c.parent.kin {
		list = append(list, ns.adapter)
	}
	return list
}

// each does something with every child, one after the other.
func (c children) each(do func(adapter.Adapter) error) error {
	var errs []error
	for _, a := range c.list() {
		// A child that is being removed has nobody left.
		if err := do(a); err != nil && (!errors.Is(err, adapter.ErrClosed) || c.parent.srv.isClosed()) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// gather asks every child at the same time and joins what they return.
func gather[T any](c children, ask func(adapter.Adapter) ([]T, error)) ([]T, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		all    []T
		miss   adapter.MissingAnswersError
		missed bool
		errs   []error
	)
	for _, a := range c.list() {
		wg.Go(func() {
			part, err := ask(a)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, part...)
			var m *adapter.MissingAnswersError
			switch {
			case errors.As(err, &m):
				missed = true
				miss.Expected += m.Expected
				miss.Received += m.Received
				errs = append(errs, m.Cause)
			case errors.Is(err, adapter.ErrClosed) && !c.parent.srv.isClosed():
			case err != nil:
				errs = append(errs, err)
			default:
				miss.Expected += len(part)
				miss.Received += len(part)
			}
		})
	}
	wg.Wait()
	if missed {
		miss.Cause = errors.Join(errs...)
		return all, &miss
	}
	return all, errors.Join(errs...)
}

func (c children) Add(adapter.Socket, ...string) bool { return false }
func (c children) Del(adapter.Socket, ...string)      {}
func (c children) DelAll(adapter.Socket)              {}

func (c children) Broadcast(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) error {
	return c.each(func(a adapter.Adapter) error { return a.Broadcast(p, sel, flags) })
}

func (c children) BroadcastWithAck(ctx context.Context, p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) ([]*adapter.Packet, error) {
	return gather(c, func(a adapter.Adapter) ([]*adapter.Packet, error) { return a.BroadcastWithAck(ctx, p, sel, flags) })
}

func (c children) FetchSockets(ctx context.Context, sel adapter.Selector) ([]adapter.SocketInfo, error) {
	return gather(c, func(a adapter.Adapter) ([]adapter.SocketInfo, error) { return a.FetchSockets(ctx, sel) })
}

func (c children) AddSockets(sel adapter.Selector, rooms []string) error {
	return c.each(func(a adapter.Adapter) error { return a.AddSockets(sel, rooms) })
}

func (c children) DelSockets(sel adapter.Selector, rooms []string) error {
	return c.each(func(a adapter.Adapter) error { return a.DelSockets(sel, rooms) })
}

func (c children) DisconnectSockets(sel adapter.Selector, closeConn bool) error {
	return c.each(func(a adapter.Adapter) error { return a.DisconnectSockets(sel, closeConn) })
}

func (c children) Rooms(ctx context.Context) ([]string, error) {
	rooms, err := gather(c, func(a adapter.Adapter) ([]string, error) { return a.Rooms(ctx) })
	seen := make(map[string]struct{}, len(rooms))
	unique := rooms[:0]
	for _, r := range rooms {
		if _, ok := seen[r]; !ok {
			seen[r] = struct{}{}
			unique = append(unique, r)
		}
	}
	return unique, err
}

func (c children) ServerSideEmit(p *adapter.Packet) error {
	return c.each(func(a adapter.Adapter) error { return a.ServerSideEmit(p) })
}

func (c children) ServerSideEmitWithAck(ctx context.Context, p *adapter.Packet) ([]*adapter.Packet, error) {
	return gather(c, func(a adapter.Adapter) ([]*adapter.Packet, error) { return a.ServerSideEmitWithAck(ctx, p) })
}

// ServerCount counts the nodes of the main namespace, which all have.
func (c children) ServerCount(ctx context.Context) (int, error) {
	return c.parent.srv.adapter.ServerCount(ctx)
}

func (c children) Close() error { return nil }
