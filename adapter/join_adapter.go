package adapter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// joinedAdapter is the adapter of a namespace of a node in several fleets.
// What it is asked for it does on this node itself, and lets each family do on
// other nodes.
type joinedAdapter struct {
	*Local
	families []Adapter
}

// Add implements [Adapter]. Families that look at it see it; their index is
// the same.
func (a *joinedAdapter) Add(s Socket, rooms ...string) bool {
	ok := a.Local.Add(s, rooms...)
	for _, f := range a.families {
		ok = ok && f.Add(s, rooms...)
	}
	return ok
}

// Del implements [Adapter].
func (a *joinedAdapter) Del(s Socket, rooms ...string) {
	a.Local.Del(s, rooms...)
	for _, f := range a.families {
		f.Del(s, rooms...)
	}
}

// DelAll implements [Adapter].
func (a *joinedAdapter) DelAll(s Socket) {
	a.Local.DelAll(s)
	for _, f := range a.families {
		f.DelAll(s)
	}
}

// Settle implements [Settler], for the families that do.
func (a *joinedAdapter) Settle(rooms ...string) {
	for _, f := range a.families {
		if s, ok := f.(Settler); ok {
			s.Settle(rooms...)
		}
	}
}

// others lets all families do something for the selected sockets of other
// nodes.
func (a *joinedAdapter) others(sel Selector, do func(Adapter, Selector) error) error {
	if sel.Local {
		return nil
	}
	sel.Remote = true
	var errs []error
	for _, f := range a.families {
		errs = append(errs, do(f, sel))
	}
	return errors.Join(errs...)
}

// Broadcast implements [Adapter].
func (a *joinedAdapter) Broadcast(p *Packet, sel Selector, flags Flags) error {
	if err := a.Local.Broadcast(p, sel, flags); err != nil {
		return err
	}
	return a.others(sel, func(f Adapter, sel Selector) error { return f.Broadcast(p, sel, flags) })
}

// AddSockets implements [Adapter].
func (a *joinedAdapter) AddSockets(sel Selector, rooms []string) error {
	if err := a.Local.AddSockets(sel, rooms); err != nil {
		return err
	}
	return a.others(sel, func(f Adapter, sel Selector) error { return f.AddSockets(sel, rooms) })
}

// DelSockets implements [Adapter].
func (a *joinedAdapter) DelSockets(sel Selector, rooms []string) error {
	if err := a.Local.DelSockets(sel, rooms); err != nil {
		return err
	}
	return a.others(sel, func(f Adapter, sel Selector) error { return f.DelSockets(sel, rooms) })
}

// DisconnectSockets implements [Adapter].
func (a *joinedAdapter) DisconnectSockets(sel Selector, closeConn bool) error {
	if err := a.Local.DisconnectSockets(sel, closeConn); err != nil {
		return err
	}
	return a.others(sel, func(f Adapter, sel Selector) error { return f.DisconnectSockets(sel, closeConn) })
}

// ServerSideEmit implements [Adapter].
func (a *joinedAdapter) ServerSideEmit(p *Packet) error {
	return a.others(Selector{}, func(f Adapter, _ Selector) error { return f.ServerSideEmit(p) })
}

// BroadcastWithAck implements [Adapter]. When one socket was asked, its answer
// ends the call: a fleet that does not have it may not know that.
func (a *joinedAdapter) BroadcastWithAck(ctx context.Context, p *Packet, sel Selector, flags Flags) ([]*Packet, error) {
	if sel.Local {
		return a.Local.BroadcastWithAck(ctx, p, sel, flags)
	}
	one := len(sel.Rooms) == 1 && LooksLikeID(sel.Rooms[0])
	var found atomic.Bool
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return gather(ctx, a.all(), true, func(ctx context.Context, f Adapter) ([]*Packet, error) {
		sel := sel
		sel.Remote = sel.Remote || f != a.Local
		packets, err := f.BroadcastWithAck(ctx, p, sel, flags)
		if one && err == nil && len(packets) > 0 {
			found.Store(true)
			cancel()
		}
		if found.Load() {
			err = nil
		}
		return packets, err
	})
}

// FetchSockets implements [Adapter].
func (a *joinedAdapter) FetchSockets(ctx context.Context, sel Selector) ([]SocketInfo, error) {
	if sel.Local {
		return a.Local.FetchSockets(ctx, sel)
	}
	infos, err := gather(ctx, a.all(), false, func(ctx context.Context, f Adapter) ([]SocketInfo, error) {
		sel := sel
		sel.Remote = sel.Remote || f != a.Local
		return f.FetchSockets(ctx, sel)
	})
	// A node that is in several fleets answers in each.
	seen := make(map[string]bool, len(infos))
	return slices.DeleteFunc(infos, func(info SocketInfo) bool {
		again := seen[info.ID]
		seen[info.ID] = true
		return again
	}), err
}

// Rooms implements [Adapter].
func (a *joinedAdapter) Rooms(ctx context.Context) ([]string, error) {
	names, err := gather(ctx, a.families, false, func(ctx context.Context, f Adapter) ([]string, error) { return f.Rooms(ctx) })
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		seen[name] = struct{}{}
	}
	return slices.Collect(maps.Keys(seen)), err
}

// ServerSideEmitWithAck implements [Adapter].
func (a *joinedAdapter) ServerSideEmitWithAck(ctx context.Context, p *Packet) ([]*Packet, error) {
	packets, err := gather(ctx, a.families, false, func(ctx context.Context, f Adapter) ([]*Packet, error) {
		return f.ServerSideEmitWithAck(ctx, p)
	})
	return slices.DeleteFunc(packets, isElsewhere), err
}

// isElsewhere reports whether a packet is that of Elsewhere, which a bus may
// have written in another way.
func isElsewhere(p *Packet) bool {
	if len(p.Attachments) > 0 || len(p.Args) > 2*len(elsewhere) || !bytes.Contains(p.Args, []byte("roomspan:")) {
		return false
	}
	var got, want []string
	return json.Unmarshal(p.Args, &got) == nil && json.Unmarshal(Elsewhere().Args, &want) == nil && slices.Equal(got, want)
}

// ServerCount implements [Adapter].
func (a *joinedAdapter) ServerCount(ctx context.Context) (int, error) {
	counts, err := gather(ctx, a.families, false, func(ctx context.Context, f Adapter) ([]int, error) {
		n, err := f.ServerCount(ctx)
		return []int{n - 1}, err
	})
	if err != nil {
		return 0, err
	}
	sum := 1
	for _, n := range counts {
		sum += n
	}
	return sum, nil
}

// Close implements [Adapter].
func (a *joinedAdapter) Close() error {
	errs := []error{a.Local.Close()}
	for _, f := range a.families {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// all returns this node and the families.
func (a *joinedAdapter) all() []Adapter { return append([]Adapter{a.Local}, a.families...) }

// withDeadline returns a context that has a deadline, one for all.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, ackTimeout)
}

// gather asks several adapters at once, and returns what they return together
// when the last has returned. perClient says that their errors count what they
// return.
func gather[T any](ctx context.Context, from []Adapter, perClient bool, ask func(context.Context, Adapter) ([]T, error)) ([]T, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	results, errs := make([][]T, len(from)), make([]error, len(from))
	var asking sync.WaitGroup
	for i, f := range from {
		asking.Go(func() { results[i], errs[i] = ask(ctx, f) })
	}
	asking.Wait()
	sum := MissingAnswersError{}
	for i, err := range errs {
		missing := (*MissingAnswersError)(nil)
		switch {
		case err == nil:
			if perClient {
				sum.Expected += len(results[i])
				sum.Received += len(results[i])
			}
		case errors.As(err, &missing):
			sum.Expected += missing.Expected
			sum.Received += missing.Received
			sum.Cause = missing.Cause
		default:
			return nil, err
		}
	}
	if sum.Cause != nil {
		return slices.Concat(results...), &sum
	}
	return slices.Concat(results...), nil
}
