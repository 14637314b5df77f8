package adapter

import (
	"context"
	"hash/maphash"
	"iter"
	"slices"
	"sync/atomic"
)

// Local is the index of rooms of one namespace on one node, and the [Adapter]
// of a cluster that has no other node. Cluster adapters embed it.
//
// Its methods may be called concurrently, and none of them looks at
// Selector.Local; with Selector.Remote they find nobody.
//
// Joining and leaving take constant time, whatever the size of the room. A
// broadcast holds read locks of the parts of the index in which its rooms lie
// while it queues to their members, so that a socket in several of them is
// reached once, also while it joins and leaves.
type Local struct {
	host     Host
	observer RoomObserver // nil if the host is none
	seed     maphash.Seed
	closed   atomic.Bool
	known    atomic.Int64
	kept     *recoveryLog // nil for most
	shards   [shardCount]shard
}

var _ Adapter = (*Local)(nil)

// NewLocal returns an empty index for a namespace. The adapters of a namespace
// that is in several fleets get the same, see [Join].
func NewLocal(host Host) *Local {
	if j := joinedOf(host); j != nil {
		return j.share(host)
	}
	l := &Local{host: host, seed: maphash.MakeSeed()}
	l.observer, _ = host.(RoomObserver)
	return l
}

func (l *Local) shardOf(name string) int {
	return int(maphash.String(l.seed, name) % shardCount)
}

// Add implements [Adapter].
func (l *Local) Add(s Socket, rooms ...string) bool {
	m := s.Membership()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.home == gone || l.closed.Load() {
		return false
	}
	changed := false
	if m.home == nil {
		l.register(s, m, s.ID())
		changed = true
	}
	for _, name := range rooms {
		if name == s.ID() || m.find(name) >= 0 {
			continue
		}
		sh := &l.shards[l.shardOf(name)]
		sh.mu.Lock()
		created := sh.join(s, m, name)
		if l.observer != nil {
			if created {
				l.observer.RoomChanged(RoomCreated, name, s.ID())
			}
			l.observer.RoomChanged(RoomJoined, name, s.ID())
		}
		sh.mu.Unlock()
		changed = true
	}
	if changed && l.kept != nil {
		m.track.changed.Store(l.kept.next.Load())
	}
	return true
}

func (l *Local) register(s Socket, m *Membership, id string) {
	m.home = &place{}
	m.id.Store(&id)
	if l.kept != nil {
		m.track = new(track)
	}
	sh := &l.shards[l.shardOf(id)]
	sh.mu.Lock()
	if sh.ids == nil {
		sh.ids = make(map[string]Socket)
	}
	sh.ids[id] = s
	sh.sockets.add(s, m.home)
	sh.mu.Unlock()
	l.known.Add(1)
}

// Del implements [Adapter].
func (l *Local) Del(s Socket, rooms ...string) {
	m := s.Membership()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range rooms {
		if i := m.find(name); i >= 0 {
			l.leave(m, name, i)
			if l.kept != nil {
				m.track.changed.Store(l.kept.next.Load())
			}
		}
	}
}

// DelAll implements [Adapter].
func (l *Local) DelAll(s Socket) {
	m := s.Membership()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, p := range slices.Backward(m.places()) {
		l.leave(m, p.room.name, i)
	}
	m.rooms.Store(nil)
	home := m.home
	m.home = gone
	if home == nil || home == gone {
		return
	}
	id := s.ID()
	sh := &l.shards[l.shardOf(id)]
	sh.mu.Lock()
	sh.sockets.remove(home)
	if sh.ids[id] == s {
		delete(sh.ids, id)
	}
	sh.mu.Unlock()
	m.id.Store(nil)
	l.known.Add(-1)
}

func (l *Local) leave(m *Membership, name string, i int) {
	sh := &l.shards[l.shardOf(name)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	deleted := sh.leave(m, i)
	if l.observer != nil {
		id := *m.id.Load()
		l.observer.RoomChanged(RoomLeft, name, id)
		if deleted {
			l.observer.RoomChanged(RoomDeleted, name, id)
		}
	}
}

// Broadcast implements [Adapter].
func (l *Local) Broadcast(p *Packet, sel Selector, flags Flags) error {
	if l.closed.Load() {
		return ErrClosed
	}
	l.host.Deliver(p, flags, l.Sockets(sel))
	return nil
}

// FetchSockets implements [Adapter].
func (l *Local) FetchSockets(_ context.Context, sel Selector) ([]SocketInfo, error) {
	if l.closed.Load() {
		return nil, ErrClosed
	}
	sockets := slices.Collect(l.Sockets(sel))
	infos := make([]SocketInfo, len(sockets))
	for i, s := range sockets {
		infos[i] = l.host.Describe(s)
	}
	return infos, nil
}

// AddSockets implements [Adapter].
func (l *Local) AddSockets(sel Selector, rooms []string) error {
	return l.each(sel, func(s Socket) { l.Add(s, rooms...) })
}

// DelSockets implements [Adapter].
func (l *Local) DelSockets(sel Selector, rooms []string) error {
	return l.each(sel, func(s Socket) { l.Del(s, rooms...) })
}

// DisconnectSockets implements [Adapter].
func (l *Local) DisconnectSockets(sel Selector, closeConn bool) error {
	return l.each(sel, func(s Socket) { l.host.Disconnect(s, closeConn) })
}

// each calls do for the selected sockets when the locks of the index are free
// again.
func (l *Local) each(sel Selector, do func(Socket)) error {
	if l.closed.Load() {
		return ErrClosed
	}
	for _, s := range slices.Collect(l.Sockets(sel)) {
		do(s)
	}
	return nil
}

// Rooms implements [Adapter].
func (l *Local) Rooms(context.Context) ([]string, error) {
	if l.closed.Load() {
		return nil, ErrClosed
	}
	var names []string
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.RLock()
		for name := range sh.rooms {
			if _, ok := sh.ids[name]; !ok {
				names = append(names, name)
			}
		}
		sh.mu.RUnlock()
	}
	return names, nil
}

// ServerSideEmit implements [Adapter]: there is no other node.
func (l *Local) ServerSideEmit(*Packet) error {
	if l.closed.Load() {
		return ErrClosed
	}
	return nil
}

// ServerSideEmitWithAck implements [Adapter]: there is no other node.
func (l *Local) ServerSideEmitWithAck(context.Context, *Packet) ([]*Packet, error) {
	return nil, l.ServerSideEmit(nil)
}

// ServerCount implements [Adapter]: it is 1.
func (l *Local) ServerCount(context.Context) (int, error) {
	if l.closed.Load() {
		return 0, ErrClosed
	}
	return 1, nil
}

// Close implements [Adapter].
func (l *Local) Close() error {
	l.closed.Store(true)
	return nil
}

// Lookup returns the socket of this node that has an id.
func (l *Local) Lookup(id string) (Socket, bool) {
	sh := &l.shards[l.shardOf(id)]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	s, ok := sh.ids[id]
	return s, ok
}

// HasRoom reports whether a socket of this node is in a room, be it the one
// that is named by its own id.
func (l *Local) HasRoom(name string) bool {
	sh := &l.shards[l.shardOf(name)]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.rooms[name] != nil || sh.ids[name] != nil
}

// RoomCount returns the number of rooms that have a member on this node, those
// named by socket ids not included. It looks at no socket.
func (l *Local) RoomCount() int {
	n := 0
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.RLock()
		n += len(sh.rooms)
		sh.mu.RUnlock()
	}
	return n
}

// Wanted reports whether the selector can match a socket of this node. It is
// cheap, does not look at Except, and so may be true when nobody matches.
func (l *Local) Wanted(sel Selector) bool {
	if sel.Remote {
		return false
	}
	if len(sel.Rooms) == 0 {
		return l.known.Load() > 0
	}
	return slices.ContainsFunc(sel.Rooms, l.HasRoom)
}

// Sockets returns the selected sockets of this node, each once, in no order.
// While the sequence is being walked it holds read locks of the index: its
// consumer must not call methods of Local, and must not wait.
func (l *Local) Sockets(sel Selector) iter.Seq[Socket] {
	return func(yield func(Socket) bool) {
		if sel.Remote {
			return
		}
		except := l.exclude(sel.Except)
		if len(sel.Rooms) == 0 {
			l.walkAll(&except, yield)
		} else {
			l.walkRooms(sel.Rooms, &except, yield)
		}
	}
}
